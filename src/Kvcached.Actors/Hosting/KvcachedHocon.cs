using System.Reflection;
using Akka.Configuration;
using Akka.Configuration.Hocon;

namespace Kvcached.Actors.Hosting;

/// <summary>The built-in HOCON files, which travel inside this assembly, and files of users that may include them.</summary>
public static class KvcachedHocon
{
    /// <summary>Path of the dispatcher that gives each page mapper a thread of its own.</summary>
    public const string GpuPinnedDispatcher = "kvcached.dispatchers.gpu-pinned";

    /// <summary>Path of the dispatcher that gives the coordinator a thread of its own.</summary>
    public const string CoordinatorDispatcher = "kvcached.dispatchers.coordinator";

    /// <summary>Path of the dispatcher that gives the data checker a thread of its own.</summary>
    public const string DataCheckDispatcher = "kvcached.dispatchers.data-check";

    private const int MaxIncludeDepth = 16;

    /// <summary>Names of the built-in files, without <c>.conf</c>, in ordinal order.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        .. typeof(KvcachedHocon).Assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith("hocon/", StringComparison.Ordinal))
            .Select(name => Path.GetFileNameWithoutExtension(name))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>Reads one built-in file, for example <c>cluster</c> or <c>cluster.conf</c>.</summary>
    /// <exception cref="ArgumentException">There is no such file.</exception>
    public static Config Load(string name) => ConfigurationFactory.ParseString(
        ReadBuiltIn(name) ?? throw new ArgumentException(
            $"No built-in configuration '{name}'. There are {string.Join(", ", Names)}.", nameof(name)),
        include => ParseInclude(include, directory: null, depth: 1));

    /// <summary>What every host starts from: remoting, cluster, dispatchers and serializers, without the examples.</summary>
    public static Config LoadDefaults() => Load("serialization")
        .WithFallback(Load("dispatchers"))
        .WithFallback(Load("remote"))
        .WithFallback(Load("cluster"));

    /// <summary>Reads a user's file. What it includes is looked for beside it, then among the built-in files.</summary>
    /// <exception cref="IOException">The file, or one that it includes, can't be read.</exception>
    /// <exception cref="FormatException">It is no HOCON; the message says where.</exception>
    public static Config LoadFile(string path)
    {
        var fullPath = Path.GetFullPath(path);
        return ConfigurationFactory.ParseString(
            ReadChecked(fullPath), include => ParseInclude(include, Path.GetDirectoryName(fullPath), depth: 1));
    }

    private static HoconRoot ParseInclude(string include, string? directory, int depth)
    {
        if (depth > MaxIncludeDepth)
        {
            throw new FormatException($"include \"{include}\": more than {MaxIncludeDepth} levels deep; does a file include itself?");
        }

        var path = directory is null ? null : Path.Combine(directory, include);
        var text = path is not null && File.Exists(path) ? ReadChecked(path) : ReadBuiltIn(include);
        return text is null
            ? throw new FileNotFoundException($"include \"{include}\": neither beside the file that includes it nor built in.", include)
            : Parser.Parse(text, next => ParseInclude(next, directory, depth + 1));
    }

    private static string ReadChecked(string path)
    {
        var text = File.ReadAllText(path);
        return HoconBrackets.FindProblem(text) is { } problem ? throw new FormatException($"{path}, {problem}.") : text;
    }

    private static string? ReadBuiltIn(string name)
    {
        var fileName = name.EndsWith(".conf", StringComparison.Ordinal) ? name : name + ".conf";
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("hocon/" + fileName);
        if (stream is null)
        {
            return null;
        }

        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
