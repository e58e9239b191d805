using System.Collections.Immutable;

namespace Kvcached.Actors.Coordination;

/// <summary>The last 4096 latencies, in milliseconds. Not thread-safe.</summary>
internal sealed class RecentLatencies
{
    /// <summary>How many are kept.</summary>
    public const int Capacity = 4096;

    private readonly double[] _milliseconds = new double[Capacity];
    private long _count;

    public void Add(double milliseconds) => _milliseconds[_count++ % Capacity] = milliseconds;

    /// <summary>The smallest latency that at least that share of the kept ones doesn't exceed; 0 without any.</summary>
    public double Percentile(double share)
    {
        var kept = (int)Math.Min(_count, Capacity);
        if (kept == 0)
        {
            return 0;
        }

        var sorted = _milliseconds[..kept];
        Array.Sort(sorted);
        return sorted[Math.Clamp((int)Math.Ceiling(share * kept) - 1, 0, kept - 1)];
    }

    /// <summary>The kept ones, oldest first.</summary>
    public ImmutableArray<double> ToImmutableArray()
    {
        if (_count <= Capacity)
        {
            return [.. _milliseconds.AsSpan(0, (int)_count)];
        }

        var oldest = (int)(_count % Capacity);
        return [.. _milliseconds.AsSpan(oldest), .. _milliseconds.AsSpan(0, oldest)];
    }
}
