using System.Collections.Immutable;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Pools;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Workers;

/// <content>Adoption: a worker hands over what it has kept of a host that ended.</content>
internal sealed partial class WorkerWork
{
    /// <summary>Takes over all that the worker holds of the pool, or nothing. Null, or why not.</summary>
    private Refusal? Adopt(RankPoolState pool, WorkerSeat seat, WorkerProtocol.AttachRank request, ImmutableArray<SafeFileHandle> descriptors)
    {
        if (request.Pool != pool.Replica.Pool)
        {
            // It has let go of this pool, and found another of its name.
            return null;
        }

        ImmutableArray<Extent> held = [.. request.Held.Select(h => h.Extent)];
        if (pool.Replica.Adopt(held, request.HighestEpoch, request.HighestGeneration) is { } contrary)
        {
            return Lost(pool, $"{contrary} contradicts what else the worker holds");
        }

        var next = 0;
        foreach (var lent in request.Held)
        {
            var units = pool.Memory.Layout.UnitsOf(lent.Extent.Group).Length;
            if (pool.Memory.TryAdopt(lent.Extent, lent.Identity, descriptors.AsSpan(next, units)) is var result and not MapResult.Mapped)
            {
                pool.Memory.Unmap(pool.Memory.MappedExtents.AsSpan(), keep: false);
                seat.Held.Clear();
                pool.Replica.Disown();
                return Lost(pool, RankRefusals.Of(result, state.Pages.Gpu).ToString());
            }

            seat.Held[lent.Extent] = lent.Identity;
            next += units;
        }

        state.HighestEpoch = request.HighestEpoch > state.HighestEpoch ? request.HighestEpoch : state.HighestEpoch;
        return null;
    }

    private Refusal Lost(RankPoolState pool, string why) => new(
        RefusalReason.PoolLost, $"What the worker holds of pool '{pool.Replica.Spec.Name}' can't be taken over on {state.Pages.Gpu}: {why}. End the worker; its memory is kept until then.");
}
