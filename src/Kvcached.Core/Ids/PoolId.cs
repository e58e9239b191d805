namespace Kvcached.Core.Ids;

/// <summary>
/// Identifies one pool of a domain for as long as it exists. Given by the coordinator that opened it, from its epoch's
/// counter (upper 40 bits) and a serial number (lower 24), so that no two coordinators ever give the same id.
/// </summary>
public readonly record struct PoolId(long Value) : IComparable<PoolId>
{
    /// <summary>The <paramref name="serial"/>-th pool (0 to 2^24-1) opened in the epoch with that counter, which is below 2^39.</summary>
    public static PoolId Create(long epochCounter, int serial)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(epochCounter);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(epochCounter, 1L << 39);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)serial, 1u << 24, nameof(serial));
        return new PoolId((epochCounter << 24) | (uint)serial);
    }

    public int CompareTo(PoolId other) => Value.CompareTo(other.Value);

    public static bool operator <(PoolId left, PoolId right) => left.Value < right.Value;

    public static bool operator >(PoolId left, PoolId right) => left.Value > right.Value;

    public static bool operator <=(PoolId left, PoolId right) => left.Value <= right.Value;

    public static bool operator >=(PoolId left, PoolId right) => left.Value >= right.Value;

    public override string ToString() => $"pool-{Value >> 24}.{Value & 0xFF_FFFF}";
}
