using System.Globalization;

namespace Kvcached.Core.Ids;

/// <summary>
/// Fences coordinators: every decision carries its coordinator's epoch, and a rank refuses one older than the highest it has
/// seen. Ordered by <paramref name="Counter"/>, then by <paramref name="NodeUid"/>, so that two coordinators that took the
/// same counter are still ordered.
/// </summary>
/// <param name="Counter">Raised by one more than any rank or the epoch file knows, at each take-over. 0 = none yet.</param>
/// <param name="NodeUid">Cluster UID of the coordinator's node.</param>
public readonly record struct Epoch(long Counter, long NodeUid) : IComparable<Epoch>
{
    public int CompareTo(Epoch other)
    {
        var byCounter = Counter.CompareTo(other.Counter);
        return byCounter != 0 ? byCounter : NodeUid.CompareTo(other.NodeUid);
    }

    public static bool operator <(Epoch left, Epoch right) => left.CompareTo(right) < 0;

    public static bool operator >(Epoch left, Epoch right) => left.CompareTo(right) > 0;

    public static bool operator <=(Epoch left, Epoch right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Epoch left, Epoch right) => left.CompareTo(right) >= 0;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"epoch-{Counter}@{NodeUid:x}");
}
