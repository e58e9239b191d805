using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>What ranks are sent. Commands may be lost, and so may their answers: what a rank owes is sent again until it comes.</content>
internal sealed partial class DomainState
{
    /// <summary>Sends a decision to all ranks of its pool.</summary>
    /// <param name="pool">The pool.</param>
    /// <param name="flight">The decision.</param>
    /// <param name="waited">How long what it answers has waited for it.</param>
    /// <param name="undone">What traces see of the map that it undoes.</param>
    private void Launch(PoolState pool, Flight flight, TimeSpan waited, DecisionSpan? undone = null)
    {
        pool.Flight = flight;
        flight.StartedAt = _now;
        flight.Span = DecisionSpan.Begin(flight.Decision, pool.Spec.Name, waited, undone);
        pool.Log.Append(flight.Decision, flight.Expected);
        Meters.Decisions++;
        var command = DecisionSpan.CommandFor(flight.Decision, flight.Span);
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            // A rank that owes older answers keeps its time, so that a busy pool doesn't put off sending them again.
            ref var progress = ref pool.Progress[rank];
            progress.SentAt = progress.AnsweredThrough == flight.Decision.Seq - 1 ? _now : progress.SentAt;
            _port.ToRank(pool.Gpus[rank], command);
        }
    }

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

    /// <summary>Another page mapper has the rank, or another link leads to it: what was sent to the first and isn't answered is most likely lost.</summary>
    public void RankTakenOver(TimeSpan now, GpuId gpu)
    {
        _now = now;
        foreach (var pool in _pools.Values.ToArray())
        {
            if (pool.RankOf(gpu) is >= 0 and var rank)
            {
                SendAgain(pool, rank);
            }
        }
    }

    /// <summary>Sends again what ranks haven't answered for a while.</summary>
    private void SendAgain(PoolState pool)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (_now - pool.Progress[rank].SentAt >= _settings.ResendInterval)
            {
                SendAgain(pool, rank);
            }
        }
    }

    private void SendAgain(PoolState pool, int rank)
    {
        if (pool.Phase is PoolPhase.Opening or PoolPhase.Reopening or PoolPhase.Closing or PoolPhase.Stopped)
        {
            if (pool.PhaseAwaiting.Contains(rank))
            {
                SendPhaseCommand(pool, rank);
            }
        }
        else if (pool.Phase == PoolPhase.Ready && pool.Progress[rank].AnsweredThrough < pool.Seq)
        {
            Replay(pool, rank);
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
            // Of those that are over, what traces see of them is over too.
            var span = pool.Flight is { } flight && flight.Decision.Seq == entry.Decision.Seq ? flight.Span : null;
            _port.ToRank(pool.Gpus[rank], DecisionSpan.CommandFor(entry.Decision, span));
        }
    }
}
