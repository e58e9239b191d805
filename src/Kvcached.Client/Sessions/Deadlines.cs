namespace Kvcached.Client.Sessions;

/// <summary>What callers may wait.</summary>
internal static class Deadlines
{
    /// <summary>The longest that a coordinator accepts; a longer or infinite one is cut to it.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    public static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);

    /// <summary>How much later than the coordinator a waiting caller gives up.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(250);

    public static TimeSpan Clamp(TimeSpan deadline) =>
        deadline == Timeout.InfiniteTimeSpan || deadline > Longest ? Longest
        : deadline < Shortest ? Shortest
        : deadline;
}
