using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
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
/// <param name="Request">The engine's request; null when the coordinator revoked them.</param>
/// <param name="Extents">The extents.</param>
/// <param name="ReceivedAt">When it was asked for.</param>
internal sealed record PendingFree(EngineProtocol.FreeExtents? Request, ImmutableArray<Extent> Extents, TimeSpan ReceivedAt);
