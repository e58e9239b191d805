using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Carries out the coordinator's decisions on one GPU. Runs on a dispatcher of its own, because driver calls block; never waits for another
/// process: a pool that needs the data checker to let go first, or its worker to do its part, waits in a queue of its own, and the others go on.
/// </summary>
internal sealed partial class PageMapper : UntypedActor, IWithTimers
{
    /// <summary>Events of workers that are taken in before other messages have their turn.</summary>
    private const int MaxEventsAtOnce = 64;

    private readonly MapperWork _work;
    private readonly RankState _state;
    private readonly CopierHoldings _holdings;
    private readonly IActorRef _dataChecker;
    private readonly TimeSpan _housekeepingInterval;
    private readonly TimeSpan _workerDeadline;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Action _nudge;
    private IActorRef _coordinator = ActorRefs.Nobody;

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
            case RankProtocol.DecideTraced traced:
                Take(traced.Decision.Pool, new RankProtocol.Decide(traced.Decision), RankSpan.Begin(traced.Decision, traced.Trace, _state.Pages.Gpu));
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
            case RankProtocol.ReportRank when _state.Recovery is not null:
                // Asked before it had said that it is recovering; it makes itself known again.
                break;
            case RankProtocol.ReportRank report:
                Sender.Tell(_work.Report(report), Self);
                Follow(Sender, report);
                break;
            case RankProtocol.KeepPolicies policies:
                Keep(policies);
                break;
            case RankProtocol.SetDraining draining:
                Drain(draining);
                break;
            case Kept kept:
                HearKept(kept);
                break;
            case RankProtocol.RankRejected rejected:
                _log.Error("The coordinator doesn't accept this rank: {Refusal}", rejected.Refusal);
                break;
            case LaneServer.LaneEnded ended:
                // All that it brought is done or has its place in a queue, so that what comes by another way now comes after it.
                Context.Parent.Tell(new RankSupervisor.LaneSettled(ended.Lane));
                break;
            case CopierProtocol.ExtentsDropped dropped:
                Resume(dropped);
                break;
            case WorkerIsLate late:
                GoOnAfter(_work.Expire(late.Pool, late.Wait));
                break;
            case DeviceWatch.Changed:
                _work.GiveWay();
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

    private void Drain(RankProtocol.SetDraining command)
    {
        if (_work.Drain(command) is { } stale)
        {
            Sender.Tell(stale, Self);
        }
        else
        {
            Context.Parent.Tell(RankSupervisor.Register.Instance);
        }
    }

    private void HearWorkers()
    {
        var isMore = true;
        for (var count = 0; count < MaxEventsAtOnce && isMore; count++)
        {
            isMore = _state.Workers.TryBegin(out var news);
            if (isMore)
            {
                var pool = _work.Hear(news!);
                _state.Workers.Done();
                GoOnAfter(pool);
                foreach (var waiting in _work.Revive())
                {
                    GoOnAfter(waiting);
                }
            }
        }

        if (isMore)
        {
            // A worker that talks without end must not keep the coordinator waiting.
            _nudge();
        }

        FollowRecovery();
        TellWorkerNews();
    }

    private void FollowRecovery()
    {
        if (_state.Recovery is null)
        {
            return;
        }

        foreach (var pool in _state.Recovery.TakeEnded())
        {
            _log.Warning("The worker of {Pool} has ended instead of handing over what it held; this rank holds nothing of it any more", pool);
        }

        if (_state.FollowRecovery())
        {
            _log.Info("{Gpu} has taken over {Pools} pools of the host before", _state.Pages.Gpu, _state.Pools.Count);
            Context.Parent.Tell(RankSupervisor.Register.Instance);
        }
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
        FollowRecovery();
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
}
