using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Carries out the coordinator's decisions on one GPU. Runs on a dispatcher of its own, because driver calls block; never waits for another
/// process: a pool whose extents somebody must let go of first waits in a queue of its own, and the others go on.
/// </summary>
internal sealed class PageMapper : UntypedActor, IWithTimers
{
    private readonly MapperWork _work;
    private readonly RankState _state;
    private readonly CopierHoldings _holdings;
    private readonly IActorRef _dataChecker;
    private readonly TimeSpan _housekeepingInterval;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<PoolId, LinkedList<Waiting>> _waiting = [];
    private readonly Action _nudge;
    private IActorRef _coordinator = ActorRefs.Nobody;
    private long _lastTicket;

    public PageMapper(RankState state, CopierHoldings holdings, IActorRef dataChecker, TimeSpan housekeepingInterval)
    {
        _state = state;
        _work = new MapperWork(state);
        _holdings = holdings;
        _dataChecker = dataChecker;
        _housekeepingInterval = housekeepingInterval;
        var self = Self;
        _nudge = () => self.Tell(WorkerNews.Instance);
    }

    private sealed record Waiting(object Command, IActorRef Sender, long Ticket);

    private sealed class Housekeep : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Housekeep Instance { get; } = new();
    }

    private sealed class WorkerNews : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static WorkerNews Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(RankState state, CopierHoldings holdings, IActorRef dataChecker, TimeSpan housekeepingInterval) =>
        Akka.Actor.Props.Create(() => new PageMapper(state, holdings, dataChecker, housekeepingInterval));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Housekeep), Housekeep.Instance, _housekeepingInterval);
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
            _work.Hear(news);
            _state.Workers.Done();
        }
    }

    private void KeepHouse()
    {
        foreach (var cleared in _work.Housekeep())
        {
            _coordinator.Tell(cleared, Self);
        }

        // A data checker that was restarted has forgotten the question.
        foreach (var queue in _waiting.Values)
        {
            AskToLetGo(queue.First!.Value.Command, queue.First.Value.Ticket);
        }
    }

    /// <summary>Carries the command out now, or after those of its pool that came before it.</summary>
    private void Take(PoolId pool, object command)
    {
        if (_waiting.TryGetValue(pool, out var queue))
        {
            queue.AddLast(new Waiting(command, Sender, 0));
        }
        else if (MustLetGoFirst(pool, command))
        {
            queue = new LinkedList<Waiting>();
            queue.AddLast(new Waiting(command, Sender, AskToLetGo(command, ++_lastTicket)));
            _waiting.Add(pool, queue);
        }
        else
        {
            CarryOut(command, Sender);
        }
    }

    private void Resume(CopierProtocol.ExtentsDropped dropped)
    {
        if (!_waiting.TryGetValue(dropped.Pool, out var queue) || queue.First!.Value.Ticket != dropped.Ticket)
        {
            return;
        }

        var head = queue.First.Value;
        queue.RemoveFirst();
        CarryOut(head.Command, head.Sender);
        while (queue.First is { } next)
        {
            if (MustLetGoFirst(dropped.Pool, next.Value.Command))
            {
                next.Value = next.Value with { Ticket = AskToLetGo(next.Value.Command, ++_lastTicket) };
                return;
            }

            queue.RemoveFirst();
            CarryOut(next.Value.Command, next.Value.Sender);
        }

        _waiting.Remove(dropped.Pool);
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

    private void CarryOut(object command, IActorRef sender)
    {
        RankProtocol.IReply reply = command switch
        {
            RankProtocol.Decide decide => _work.Decide(decide.Decision),
            RankProtocol.InstallTable install => _work.Install(install),
            RankProtocol.OpenRankPool open => _work.Open(open),
            RankProtocol.CloseRankPool close => _work.Close(close),
            _ => throw new InvalidOperationException($"{command.GetType().Name} is no command for a rank."),
        };
        sender.Tell(reply, Self);
        Follow(sender, command);
    }
}
