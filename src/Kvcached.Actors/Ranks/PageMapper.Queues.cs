using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;
using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Ranks;

/// <content>
/// Queues: the commands of a pool go one after the other, and the first of them may have to wait, for the data checker before it begins or for the pool's
/// worker once it has.
/// </content>
internal sealed partial class PageMapper
{
    private readonly Dictionary<PoolId, LinkedList<Waiting>> _waiting = [];
    private long _lastTicket;

    /// <param name="Command">The command.</param>
    /// <param name="Sender">Who gets the answer.</param>
    /// <param name="Ticket">Question to the data checker that the head of a queue waits for; 0 = it waits for the pool's worker, or for its turn.</param>
    /// <param name="Span">What traces see of it; null when it isn't recorded.</param>
    private sealed record Waiting(object Command, IActorRef Sender, long Ticket, RankSpan? Span = null);

    private sealed record WorkerIsLate(PoolId Pool, WorkerWait Wait) : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded;

    /// <summary>Carries the command out now, or after those of its pool that came before it.</summary>
    private void Take(PoolId pool, object command, RankSpan? span = null)
    {
        var waiting = new Waiting(command, Sender, 0, span);
        if (_waiting.TryGetValue(pool, out var queue))
        {
            queue.AddLast(waiting);
        }
        else if (MustLetGoFirst(pool, command) || !TryCarryOut(waiting))
        {
            queue = new LinkedList<Waiting>([waiting]);
            _waiting.Add(pool, queue);
            Await(pool, queue.First!);
        }
    }

    private void Resume(CopierProtocol.ExtentsDropped dropped)
    {
        if (!_waiting.TryGetValue(dropped.Pool, out var queue) || queue.First!.Value.Ticket != dropped.Ticket)
        {
            return;
        }

        var head = queue.First.Value with { Ticket = 0 };
        if (!TryCarryOut(head))
        {
            queue.First.Value = head;
            head.Span?.Note(KvcachedTraces.WorkerEvent);
            AwaitWorker(dropped.Pool);
            return;
        }

        queue.RemoveFirst();
        GoOn(dropped.Pool, queue);
    }

    /// <summary>Carries out what is next in the pool's queue, until one has to wait.</summary>
    private void GoOn(PoolId pool, LinkedList<Waiting> queue)
    {
        while (queue.First is { } next)
        {
            if (MustLetGoFirst(pool, next.Value.Command) || !TryCarryOut(next.Value))
            {
                Await(pool, next);
                return;
            }

            queue.RemoveFirst();
        }

        _waiting.Remove(pool);
    }

    /// <summary>The head of a queue waits: for its worker when it has begun, else for the data checker.</summary>
    private void Await(PoolId pool, LinkedListNode<Waiting> head)
    {
        if (_state.Pools.TryGetValue(pool, out var known) && known.Seat?.Wait is not null)
        {
            head.Value.Span?.Note(KvcachedTraces.WorkerEvent);
            AwaitWorker(pool);
        }
        else
        {
            head.Value.Span?.Note(KvcachedTraces.CopierEvent);
            head.Value = head.Value with { Ticket = AskToLetGo(head.Value.Command, ++_lastTicket) };
        }
    }

    private void AwaitWorker(PoolId pool)
    {
        if (_state.Pools[pool].Seat?.Wait is { } wait)
        {
            Timers.StartSingleTimer(pool, new WorkerIsLate(pool, wait), _workerDeadline);
        }
    }

    private bool MustLetGoFirst(PoolId pool, object command) =>
        _holdings.Contains(pool) && command switch
        {
            RankProtocol.CloseRankPool => true,
            RankProtocol.Decide decide => !_work.ExtentsToUnmap(decide.Decision).IsEmpty,
            RankProtocol.InstallTable install => !_work.ExtentsToUnmap(install).IsEmpty,
            _ => false,
        };

    private long AskToLetGo(object command, long ticket)
    {
        _dataChecker.Tell(
            command switch
            {
                RankProtocol.Decide decide => new CopierProtocol.DropExtents(decide.Decision.Pool, _work.ExtentsToUnmap(decide.Decision), ticket),
                RankProtocol.InstallTable install => new CopierProtocol.DropExtents(install.Pool, _work.ExtentsToUnmap(install), ticket),
                RankProtocol.CloseRankPool close => new CopierProtocol.DropPool(close.Pool, ticket),
                _ => throw new InvalidOperationException($"{command.GetType().Name} unmaps nothing."),
            },
            Self);
        return ticket;
    }

    /// <summary>False when it has begun and waits for its worker.</summary>
    private bool TryCarryOut(Waiting waiting)
    {
        var reply = waiting.Command switch
        {
            RankProtocol.Decide decide => _work.Decide(decide),
            RankProtocol.InstallTable install => _work.Install(install),
            RankProtocol.OpenRankPool open => _work.Open(open),
            RankProtocol.CloseRankPool close => _work.Close(close),
            _ => throw new InvalidOperationException($"{waiting.Command.GetType().Name} is no command for a rank."),
        };
        if (reply is not null)
        {
            Answer(waiting, reply);
        }

        return reply is not null;
    }

    private void Answer(Waiting waiting, RankProtocol.IReply reply)
    {
        waiting.Span?.End(reply);
        if (waiting.Sender.IsNobody())
        {
            return;
        }

        waiting.Sender.Tell(reply, Self);
        Follow(waiting.Sender, waiting.Command);
    }

    /// <summary>A command that waited for its worker may be settled: then it is answered, and those behind it have their turn.</summary>
    private void GoOnAfter(RankPoolState? pool)
    {
        if (pool is null || !_waiting.TryGetValue(pool.Replica.Pool, out var queue) || !MapperWork.TryCollect(pool, out var reply))
        {
            return;
        }

        Timers.Cancel(pool.Replica.Pool);
        var head = queue.First!.Value;
        queue.RemoveFirst();
        Answer(head, reply);
        GoOn(pool.Replica.Pool, queue);
    }
}
