using System.Collections.Immutable;

namespace Kvcached.TraceReplay.Chaos.Faults;

/// <summary>One fault to come.</summary>
/// <param name="At">Earliest moment, counted from the first request. It waits for the one before to be recovered from.</param>
/// <param name="Kind">What happens.</param>
/// <param name="TargetDraw">Which of the possible targets is hit: its remainder by their number.</param>
/// <param name="Length">How long a pause lasts.</param>
internal readonly record struct PlannedFault(TimeSpan At, FaultKind Kind, int TargetDraw, TimeSpan Length);

/// <summary>
/// When what is to go wrong: a pure function of seed and length. Faults never overlap, so that none that together destroy data (a host and a worker of one
/// rank) meet by chance; that has a kind of its own.
/// </summary>
internal static class FaultSchedule
{
    /// <summary>Each fault's place in the run, and the least time between two.</summary>
    public static readonly TimeSpan Slot = TimeSpan.FromSeconds(10);

    /// <summary>Nothing happens in the first seconds, in which pools fill.</summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5);

    /// <summary>Least time from one fault to the next.</summary>
    public static readonly TimeSpan LeastGap = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(3);

    /// <summary>Plans the faults of a run.</summary>
    /// <param name="seed">The same seed gives the same schedule.</param>
    /// <param name="length">Length of the window in which faults may begin.</param>
    /// <param name="kinds">Kinds that are possible.</param>
    /// <remarks>
    /// In a window of 2 minutes or more each kind comes at least once: the kinds are shuffled and dealt out like cards, again and again, one to each slot.
    /// </remarks>
    public static ImmutableArray<PlannedFault> Create(int seed, TimeSpan length, IReadOnlyList<FaultKind> kinds)
    {
        var random = new Random(seed);
        var count = kinds.Count == 0 ? 0 : Math.Max(1, (int)((length - Quiet) / Slot));
        var faults = ImmutableArray.CreateBuilder<PlannedFault>(count);
        FaultKind[] deck = [.. kinds];
        for (var index = 0; index < count; index++)
        {
            if (index % kinds.Count == 0)
            {
                random.Shuffle(deck);
            }

            var at = Quiet + (Slot * index) + ((Slot - LeastGap) * random.NextDouble());
            var pause = ShortestPause + ((LongestPause - ShortestPause) * random.NextDouble());
            faults.Add(new PlannedFault(at, deck[index % kinds.Count], random.Next(), pause));
        }

        return faults.MoveToImmutable();
    }
}
