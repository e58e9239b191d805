using System.Globalization;

namespace Kvcached.EngineProbe;

/// <summary>One line of input: a verb and <c>key=value</c> words; lists are separated by commas.</summary>
internal sealed class ProbeCommand
{
    private readonly Dictionary<string, string> _values;

    private ProbeCommand(string verb, Dictionary<string, string> values)
    {
        Verb = verb;
        _values = values;
    }

    public string Verb { get; }

    public static ProbeCommand Parse(string line)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return new ProbeCommand(words[0], words.Skip(1).Select(word => word.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal));
    }

    public string Text(string key) => _values.TryGetValue(key, out var value) ? value : throw new ArgumentException($"{Verb} needs {key}=.");

    public string Text(string key, string fallback) => _values.GetValueOrDefault(key, fallback);

    public long Number(string key) => long.Parse(Text(key), CultureInfo.InvariantCulture);

    public long Number(string key, long fallback) => _values.ContainsKey(key) ? Number(key) : fallback;

    public TimeSpan Seconds(string key, double fallback) =>
        TimeSpan.FromSeconds(_values.TryGetValue(key, out var value) ? double.Parse(value, CultureInfo.InvariantCulture) : fallback);

    public int[] Numbers(string key) =>
        [.. Text(key, string.Empty).Split(',', StringSplitOptions.RemoveEmptyEntries).Select(word => int.Parse(word, CultureInfo.InvariantCulture))];
}
