using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;
using Kvcached.Core.Workers;

namespace Kvcached.Actors.Workers;

/// <content>Memory that workers keep imported after its unmap: how it is asked back, and what waits for it.</content>
internal sealed partial class WorkerWork
{
    private bool _isMemoryBack;

    /// <summary>Has workers let go of what the page pool wants back. What isn't connected is asked nothing: it keeps no imports beyond its connection.</summary>
    public void AskBack()
    {
        foreach (var pool in state.Pools.Values)
        {
            if (pool.Seat is not { Connection: not null } seat)
            {
                continue;
            }

            var wanted = pool.Memory.TakeWanted();
            if (!wanted.IsEmpty)
            {
                ImmutableArray<LentExtent> lent = [.. wanted.Select(w => new LentExtent(w.Extent, w.Identity))];
                seat.Queue.Add(new WorkerOperation(WorkerOperationKind.LetGo, pool.Replica.Epoch, pool.Replica.LastSeq, EngineStep.None, lent, [], 0));
                Pump(pool, seat);
            }
        }
    }

    /// <summary>Tries maps again that wait for memory, if any has come back. Returns the pools of those that are settled by it.</summary>
    public ImmutableArray<RankPoolState> Revive()
    {
        if (!_isMemoryBack)
        {
            return [];
        }

        _isMemoryBack = false;
        var settled = ImmutableArray.CreateBuilder<RankPoolState>();
        foreach (var pool in state.Pools.Values)
        {
            if (pool.Seat is { Wait: { IsAwaitingMemory: true, Reply: null, Command: RankProtocol.Decide decide } wait } seat)
            {
                TryMap(pool, seat, wait, decide.Decision);
                if (wait.Reply is not null)
                {
                    settled.Add(pool);
                }
            }
        }

        AskBack();
        return settled.ToImmutable();
    }

    private void LetGoOfImports(RankPoolState pool, WorkerOperation operation, WorkerProtocol.OperationDone done)
    {
        var refused = done.Stuck.IsDefault ? [] : done.Stuck.ToHashSet();
        pool.Memory.WantAgain([.. operation.Extents.Where(e => refused.Contains(e.Extent)).Select(e => e.Identity)]);
        ReadOnlySpan<ExtentIdentity> gone = [.. operation.Extents.Where(e => !refused.Contains(e.Extent)).Select(e => e.Identity)];
        _isMemoryBack |= pool.Memory.LetGo(gone) > 0;
    }

    private void FreeImports(RankPoolState pool) => _isMemoryBack |= pool.Memory.LetGoOfAll() > 0;
}
