using Kvcached.Core.Ids;

namespace Kvcached.Actors.Lanes;

/// <summary>
/// Names one lane between a coordinator and a rank. A rank has one lane at a time, and takes none that isn't above all before it: what a lane brought
/// can't come after what a later one did.
/// </summary>
/// <param name="Epoch">The coordinator's epoch.</param>
/// <param name="Serial">Counts the lanes of that epoch, from 1. 0 = none yet.</param>
internal readonly record struct LaneId(Epoch Epoch, long Serial) : IComparable<LaneId>
{
    public int CompareTo(LaneId other)
    {
        var byEpoch = Epoch.CompareTo(other.Epoch);
        return byEpoch != 0 ? byEpoch : Serial.CompareTo(other.Serial);
    }

    public static bool operator <(LaneId left, LaneId right) => left.CompareTo(right) < 0;

    public static bool operator >(LaneId left, LaneId right) => left.CompareTo(right) > 0;

    public static bool operator <=(LaneId left, LaneId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(LaneId left, LaneId right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"lane {Serial} of {Epoch}";
}
