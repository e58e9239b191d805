using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <summary>A request for pages that waits for its turn, or for memory.</summary>
internal sealed class PendingAllocation(EngineProtocol.AllocatePages request, TimeSpan receivedAt, TimeSpan deadlineAt)
{
    public EngineProtocol.AllocatePages Request { get; } = request;

    public TimeSpan ReceivedAt { get; } = receivedAt;

    public TimeSpan DeadlineAt { get; } = deadlineAt;
}

/// <summary>Extents that leave a pool as soon as it is their turn.</summary>
internal sealed class PendingFree(EngineProtocol.FreeExtents? request, ImmutableArray<Extent> extents, EngineStep fence, TimeSpan receivedAt)
{
    /// <summary>The engine's request; null when it was answered already, or when the coordinator revoked them.</summary>
    public EngineProtocol.FreeExtents? Request { get; set; } = request;

    public ImmutableArray<Extent> Extents { get; } = extents;

    /// <summary>The last engine step that used any of them, as far as is known.</summary>
    public EngineStep Fence { get; set; } = fence;

    public TimeSpan ReceivedAt { get; } = receivedAt;
}
