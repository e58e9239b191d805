using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Coordination;

/// <content>Engine workers as their ranks tell of them: nothing is granted without all of them, and a pool without one for too long is lost.</content>
internal sealed partial class DomainState
{
    /// <summary>A pool's worker has attached to a rank, or is gone.</summary>
    public void WorkerChanged(TimeSpan now, RankProtocol.WorkerChanged change)
    {
        _now = now;
        if (IsCurrent(change.Gpu, change.Incarnation) && _pools.TryGetValue(change.Pool, out var pool) && pool.RankOf(change.Gpu) is var rank and >= 0)
        {
            SetWorker(pool, rank, change.Worker);
        }
    }

    private void SetWorker(PoolState pool, int rank, RankWorker worker)
    {
        ref var view = ref pool.Workers[rank];
        view.Standing = worker;
        view.GoneAt = worker == RankWorker.Gone ? view.GoneAt ?? _now : null;
    }

    /// <summary>The first rank whose worker isn't attached; null when none is needed, or all are.</summary>
    private static int? FindRankWithoutWorker(PoolState pool)
    {
        if (pool.NeedsWorkers)
        {
            for (var rank = 0; rank < pool.RankCount; rank++)
            {
                if (pool.Workers[rank].Standing != RankWorker.Attached)
                {
                    return rank;
                }
            }
        }

        return null;
    }

    private void ExpireWorkers(PoolState pool)
    {
        if (!pool.NeedsWorkers || pool.Phase is PoolPhase.Opening or PoolPhase.Closing or PoolPhase.Lost)
        {
            return;
        }

        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            // Of one whose host has ended nothing is known.
            if (!pool.AwaitedHosts.ContainsKey(rank) && pool.Workers[rank].GoneAt is { } since && _now - since >= _settings.ReattachWindow)
            {
                Withdraw(pool, $"its worker of rank {rank} on {pool.Gpus[rank]} has gone, and none attached within {_settings.ReattachWindow.TotalSeconds:0.#} s");
                return;
            }
        }
    }
}
