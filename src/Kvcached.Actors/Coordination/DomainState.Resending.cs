using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Coordination;

/// <content>Commands may be lost, and so may their answers: what a rank owes is sent again until it comes.</content>
internal sealed partial class DomainState
{
    private void SendPhaseCommand(PoolState pool, int rank)
    {
        pool.Progress[rank].SentAt = _now;
        RankProtocol.ICommand? command = pool.Phase switch
        {
            PoolPhase.Opening or PoolPhase.Reopening => new RankProtocol.OpenRankPool(Epoch, pool.Id, rank, pool.Spec, pool.Owner),
            PoolPhase.Closing => new RankProtocol.CloseRankPool(Epoch, pool.Id, pool.CloseFence),
            PoolPhase.Stopped => new RankProtocol.InstallTable(Epoch, pool.Id, pool.Seq, pool.Entries(), pool.Fence),
            _ => null,
        };
        if (command is not null)
        {
            _port.ToRank(pool.Gpus[rank], command);
        }
    }

    /// <summary>Sends again what a rank hasn't answered for a while.</summary>
    private void SendAgain(PoolState pool)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            ref var progress = ref pool.Progress[rank];
            if (_now - progress.SentAt < _settings.ResendInterval)
            {
                continue;
            }

            if (pool.Phase is PoolPhase.Opening or PoolPhase.Reopening or PoolPhase.Closing or PoolPhase.Stopped)
            {
                if (pool.PhaseAwaiting.Contains(rank))
                {
                    SendPhaseCommand(pool, rank);
                }
            }
            else if (pool.Phase == PoolPhase.Ready && progress.AnsweredThrough < pool.Seq)
            {
                Replay(pool, rank);
            }
        }
    }

    private void Replay(PoolState pool, int rank)
    {
        ref var progress = ref pool.Progress[rank];
        progress.SentAt = _now;
        if (!pool.Log.TryReadAfter(progress.AnsweredThrough, out var entries))
        {
            Stop(pool, $"{pool.Gpus[rank]} is too far behind in {pool.Id}");
            return;
        }

        foreach (var entry in entries)
        {
            _port.ToRank(pool.Gpus[rank], new RankProtocol.Decide(entry.Decision));
        }
    }
}
