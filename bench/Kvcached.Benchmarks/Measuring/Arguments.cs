using System.Globalization;

namespace Kvcached.Benchmarks.Measuring;

/// <summary>Arguments of one benchmark: <c>--name value</c> pairs, and <c>--help</c>.</summary>
internal sealed class Arguments
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly HashSet<string> _unread = new(StringComparer.Ordinal);

    private Arguments()
    {
    }

    /// <summary>Null when there is nothing to run: help was asked for, or an argument makes no sense; both are said.</summary>
    public static Arguments? Parse(string[] args, string help)
    {
        var parsed = new Arguments();
        if (args.Contains("--help"))
        {
            Console.WriteLine(help);
            return null;
        }

        for (var i = 0; i < args.Length; i += 2)
        {
            if (!args[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == args.Length || !parsed._values.TryAdd(args[i], args[i + 1]))
            {
                Console.Error.WriteLine($"'{args[i]}' has no value, or comes twice.{Environment.NewLine}{help}");
                return null;
            }

            parsed._unread.Add(args[i]);
        }

        return parsed;
    }

    public string Text(string name, string fallback)
    {
        _unread.Remove(name);
        return _values.GetValueOrDefault(name, fallback);
    }

    public int Number(string name, int fallback, int smallest, int largest)
    {
        var text = Text(name, fallback.ToString(CultureInfo.InvariantCulture));
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= smallest && number <= largest
            ? number
            : throw new ArgumentException($"{name} {text}: give a whole number from {smallest} to {largest}.");
    }

    /// <exception cref="ArgumentException">An argument was given that nothing asked for.</exception>
    public void RequireAllRead()
    {
        if (_unread.Count > 0)
        {
            throw new ArgumentException($"Unknown: {string.Join(", ", _unread)}. --help says what there is.");
        }
    }
}
