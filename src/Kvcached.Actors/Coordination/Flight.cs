using Kvcached.Actors.Telemetry;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>The one decision of a pool that ranks are carrying out: who has yet to answer, and for whom it is.</summary>
internal sealed class Flight
{
    /// <summary>When it was sent.</summary>
    public TimeSpan StartedAt { get; set; }

    public required Decision Decision { get; init; }

    /// <summary>Digest that every rank must show after it.</summary>
    public required LayoutDigest Expected { get; init; }

    /// <summary>Ranks that haven't answered.</summary>
    public required RankSet Awaiting { get; init; }

    /// <summary>When a map is aborted, or an unmap or abort leaves the extents quarantined.</summary>
    public required TimeSpan DeadlineAt { get; init; }

    /// <summary>What traces see of it; null when it isn't recorded.</summary>
    public DecisionSpan? Span { get; set; }

    /// <summary>The request behind a map; null for others.</summary>
    public PendingAllocation? Allocation { get; init; }

    /// <summary>The request behind an unmap; null for others.</summary>
    public PendingFree? Free { get; init; }
}
