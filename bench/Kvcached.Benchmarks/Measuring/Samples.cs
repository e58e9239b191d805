namespace Kvcached.Benchmarks.Measuring;

/// <summary>Durations of one kind, in the order they were measured.</summary>
internal sealed class Samples
{
    private readonly List<double> _values = [];

    public int Count => _values.Count;

    public IReadOnlyList<double> Values => _values;

    public void Add(double value) => _values.Add(value);

    public void AddRange(IEnumerable<double> values) => _values.AddRange(values);

    /// <summary>Sorts a copy and reads it; all zero without samples.</summary>
    public Summary Summarize()
    {
        if (_values.Count == 0)
        {
            return default;
        }

        var sorted = _values.ToArray();
        Array.Sort(sorted);
        return new Summary(sorted.Length, sorted.Average(), At(0.50), At(0.90), At(0.99), sorted[0], sorted[^1]);

        double At(double share) => sorted[Math.Clamp((int)Math.Ceiling(share * sorted.Length) - 1, 0, sorted.Length - 1)];
    }
}

/// <summary>What is said of samples; the unit is theirs.</summary>
internal readonly record struct Summary(int Count, double Mean, double P50, double P90, double P99, double Smallest, double Largest);
