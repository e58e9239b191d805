using System.Globalization;
using System.Net;
using Kvcached.Core.Units;

namespace Kvcached.Router.Configuration;

/// <summary>Reads the command line: <c>--key value</c> or <c>--key=value</c>.</summary>
internal static class RouterCommandLine
{
    private const long MinBodyBytes = ByteSize.KiB;
    private const long MaxBodyBytes = ByteSize.GiB;

    public const string Help = """
        Kvcached.Router: one address for many models. Passes requests of the OpenAI API to the engines of the model that they name, and
        puts idle models to sleep.

        Usage: Kvcached.Router --models FILE [--key value | --key=value]...

          --models FILE         YAML file of the models; read anew when it changes, or upon SIGHUP
          --listen ADDRESS:PORT where to listen; port 0 takes any; default 127.0.0.1:8080
          --max-body SIZE       the largest body of a request, 1KiB to 1GiB; default 16MiB
          --body-memory SIZE    what bodies of all requests may hold in memory, twice --max-body or more; default
                                512MiB
          --max-connections N   connections of clients at a time, 1 to 1000000; default 4096
          --token-file FILE     sleep and wake need what it holds as a bearer token; without it they are served on loopback only
          --help, -h            prints this
          --version             prints the version

        Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or a file of models with mistakes

        """;

    /// <summary>Reads the arguments; what is wrong is added to <paramref name="errors"/>.</summary>
    public static RouterOptions? Read(IReadOnlyList<string> arguments, List<string> errors)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var index = 0; index < arguments.Count; index++)
        {
            var argument = arguments[index];
            var equals = argument.IndexOf('=', StringComparison.Ordinal);
            var key = equals < 0 ? argument : argument[..equals];
            if (key is not ("--models" or "--listen" or "--max-body" or "--body-memory" or "--max-connections" or "--token-file"))
            {
                errors.Add($"'{argument}' is not expected here; --help lists what is.");
            }
            else if (equals < 0 && (index + 1 >= arguments.Count || arguments[index + 1].StartsWith("--", StringComparison.Ordinal)))
            {
                errors.Add($"{key} needs a value; --help says which.");
            }
            else if (!values.TryAdd(key, equals < 0 ? arguments[++index] : argument[(equals + 1)..]))
            {
                errors.Add($"{key} is given twice; give it once.");
            }
        }

        if (!values.TryGetValue("--models", out var models))
        {
            errors.Add("--models FILE is missing: name the file of models.");
        }

        var options = new RouterOptions { ModelsPath = models ?? string.Empty, TokenPath = values.GetValueOrDefault("--token-file") };
        options = options with
        {
            Listen = ReadAddress(values, options.Listen, errors),
            MaxBodyBytes = ReadBytes(values, "--max-body", options.MaxBodyBytes, errors),
            BodyMemoryBytes = ReadBytes(values, "--body-memory", options.BodyMemoryBytes, errors, long.MaxValue),
            MaxConnections = ReadNumber(values, "--max-connections", options.MaxConnections, errors),
        };
        // A buffer is doubled as its body comes.
        if (options.BodyMemoryBytes < 2 * options.MaxBodyBytes)
        {
            errors.Add($"--body-memory {ByteSize.Format(options.BodyMemoryBytes)} may be too little for a single body of --max-body {ByteSize.Format(options.MaxBodyBytes)}; give it twice as much, or more.");
        }

        return errors.Count == 0 ? options : null;
    }

    private static IPEndPoint ReadAddress(Dictionary<string, string> values, IPEndPoint fallback, List<string> errors)
    {
        if (!values.TryGetValue("--listen", out var text))
        {
            return fallback;
        }

        // Without a port an address would mean port 0.
        var hasPort = text.Contains("]:", StringComparison.Ordinal) || text.Count(letter => letter == ':') == 1;
        if (hasPort && IPEndPoint.TryParse(text, out var address))
        {
            return address;
        }

        errors.Add($"--listen '{text}' is not allowed; allowed: an address and a port, such as 127.0.0.1:8080 or [::1]:8080.");
        return fallback;
    }

    private static long ReadBytes(Dictionary<string, string> values, string key, long fallback, List<string> errors, long max = MaxBodyBytes)
    {
        if (!values.TryGetValue(key, out var text))
        {
            return fallback;
        }

        if (ByteSize.TryParse(text, out var bytes) && bytes >= MinBodyBytes && bytes <= max)
        {
            return bytes;
        }

        errors.Add($"{key} '{text}' is not allowed; allowed: {ByteSize.Format(MinBodyBytes)} or more{(max == MaxBodyBytes ? $", to {ByteSize.Format(max)}" : string.Empty)}.");
        return fallback;
    }

    private static int ReadNumber(Dictionary<string, string> values, string key, int fallback, List<string> errors)
    {
        if (!values.TryGetValue(key, out var text))
        {
            return fallback;
        }

        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is >= 1 and <= 1_000_000)
        {
            return number;
        }

        errors.Add($"{key} '{text}' is not allowed; allowed: 1 to 1000000.");
        return fallback;
    }
}
