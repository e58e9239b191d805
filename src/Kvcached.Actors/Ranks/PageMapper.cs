using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Carries out the coordinator's decisions on one GPU. Runs on a dispatcher of its own, because driver calls block; never waits for another
/// process: a pool that needs the data checker to let go first, or its worker to do its part, waits in a queue of its own, and the others go on.
/// </summary>
internal sealed class PageMapper : UntypedActor, IWithTimers
{
    private readonly MapperWork _work;
    private readonly RankState _state;
    private readonly CopierHoldings _holdings;
    private readonly IActorRef _dataChecker;
    private readonly TimeSpan _housekeepingInterval;
    private readonly TimeSpan _workerDeadline;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<PoolId, LinkedList<Waiting>> _waiting = [];
    private readonly Action _nudge;
    private IActorRef _coordinator = ActorRefs.Nobody;
    private long _lastTicket;

    public PageMapper(RankState state, CopierHoldings holdings, IActorRef dataChecker, TimeSpan housekeepingInterval, TimeSpan workerDeadline)
    {
        _state = state;
        _work = new MapperWork(state);
        _holdings = holdings;
        _dataChecker = dataChecker;
        _housekeepingInterval = housekeepingInterval;
        _workerDeadline = workerDeadline;
        var self = Self;
        _nudge = () => self.Tell(WorkerNews.Instance);
    }

    /// <param name="Command">The command.</param>
    /// <param name="Sender">Who gets the answer.</param>
    /// <param name="Ticket">Question to the data checker that the head of a queue waits for; 0 = it waits for the pool's worker, or for its turn.</param>
    private sealed record Waiting(object Command, IActorRef Sender, long Ticket);

    private sealed record WorkerIsLate(PoolId Pool, WorkerWait Wait) : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded;

    private sealed class Housekeep : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Housekeep Instance { get; } = new();
    }

    private sealed class WorkerNews : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static WorkerNews Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(RankState state, CopierHoldings holdings, IActorRef dataChecker, TimeSpan housekeepingInterval, TimeSpan workerDeadline) =>
        Akka.Actor.Props.Create(() => new PageMapper(state, holdings, dataChecker, housekeepingInterval, workerDeadline));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Housekeep), Housekeep.Instance, _housekeepingInterval);
        foreach (var pool in _state.Pools.Values)
        {
            // What its predecessor had begun goes on; who asked for it asks again, and is answered from memory.
            if (pool.Seat?.Wait is not { } wait || MapperWork.TryCollect(pool, out _))
            {
                continue;
            }

            _waiting.Add(pool.Replica.Pool, new LinkedList<Waiting>([new Waiting(wait.Command, ActorRefs.Nobody, 0)]));
            AwaitWorker(pool.Replica.Pool);
        }

        _state.Workers.Listen(_nudge);
    }

    protected override void PostStop() => _state.Workers.StopListening(_nudge);

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case RankProtocol.Decide decide:
                Take(decide.Decision.Pool, decide);
                break;
            case RankProtocol.InstallTable install:
                Take(install.Pool, install);
                break;
            case RankProtocol.OpenRankPool open:
                Take(open.Pool, open);
                break;
            case RankProtocol.CloseRankPool close:
                Take(close.Pool, close);
                break;
            case RankProtocol.ReportRank report:
                Sender.Tell(_work.Report(report), Self);
                Follow(Sender, report);
                break;
            case RankProtocol.RankRejected rejected:
                _log.Error("The coordinator doesn't accept this rank: {Refusal}", rejected.Refusal);
                break;
            case CopierProtocol.ExtentsDropped dropped:
                Resume(dropped);
                break;
            case WorkerIsLate late:
                GoOnAfter(_work.Expire(late.Pool, late.Wait));
                break;
            case WorkerNews:
                HearWorkers();
                break;
            case Housekeep:
                KeepHouse();
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    /// <summary>News go to the coordinator of the highest epoch, not to one that it has replaced.</summary>
    private void Follow(IActorRef coordinator, object command)
    {
        if (command is RankProtocol.ICommand { Epoch: var epoch } && epoch == _state.HighestEpoch)
        {
            _coordinator = coordinator;
        }
    }

    private void HearWorkers()
    {
        while (_state.Workers.TryBegin(out var news))
        {
            var pool = _work.Hear(news);
            _state.Workers.Done();
            GoOnAfter(pool);
        }

        TellWorkerNews();
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

    private void TellWorkerNews()
    {
        if (_coordinator.IsNobody())
        {
            return;
        }

        foreach (var change in _work.WorkerNews())
        {
            _coordinator.Tell(change, Self);
        }
    }

    private void KeepHouse()
    {
        TellWorkerNews();
        foreach (var cleared in _work.Housekeep())
        {
            _coordinator.Tell(cleared, Self);
        }

        // A data checker that was restarted has forgotten the question.
        foreach (var queue in _waiting.Values.Where(q => q.First!.Value.Ticket != 0))
        {
            AskToLetGo(queue.First!.Value.Command, queue.First.Value.Ticket);
        }
    }

    /// <summary>Carries the command out now, or after those of its pool that came before it.</summary>
    private void Take(PoolId pool, object command)
    {
        var waiting = new Waiting(command, Sender, 0);
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
            AwaitWorker(pool);
        }
        else
        {
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
        if (waiting.Sender.IsNobody())
        {
            return;
        }

        waiting.Sender.Tell(reply, Self);
        Follow(waiting.Sender, waiting.Command);
    }
}
