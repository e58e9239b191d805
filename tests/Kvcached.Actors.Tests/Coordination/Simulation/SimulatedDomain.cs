using System.Collections.Immutable;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>
/// A coordinator with its ranks and engines, joined by links that deliver in order but may hold, lose and double, on a clock that goes
/// on only when told to. Rules that must always hold are checked after every delivery.
/// </summary>
internal sealed class SimulatedDomain : ICoordinatorPort
{
    public const string Name = "test";

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RegisterInterval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan HousekeepingInterval = TimeSpan.FromSeconds(1);

    private readonly CoordinatorSettings _settings;
    private readonly Dictionary<GpuId, (Link Down, Link Up)> _rankLinks = [];
    private readonly Dictionary<SessionId, (Link Down, Link Up)> _engineLinks = [];
    private readonly HashSet<(SessionId, RequestId)> _told = [];

    public SimulatedDomain(int rankCount, int capacityPages = 64, CoordinatorSettings? settings = null)
    {
        _settings = (settings ?? new CoordinatorSettings { Domain = Name }) with { ExpectedHosts = rankCount };
        Coordinator = new DomainState(new Epoch(1, 1), _settings, this, Now);
        foreach (var gpu in TestPools.Gpus(rankCount))
        {
            AddRank(new SimulatedRank(gpu, capacityPages * TestPools.PageBytes));
        }

        Settle();
    }

    public TimeSpan Now { get; private set; } = TimeSpan.FromHours(1);

    public DomainState Coordinator { get; private set; }

    public TimeSpan SessionLease => _settings.SessionLease;

    public List<SimulatedRank> Ranks { get; } = [];

    public List<SimulatedEngine> Engines { get; } = [];

    public List<string> Warnings { get; } = [];

    /// <summary>What operators were answered, by ticket.</summary>
    public Dictionary<long, OperatorProtocol.IReply> OperatorReplies { get; } = [];

    /// <summary>The newer epoch for which the coordinator stepped down; null while it decides.</summary>
    public Epoch? SteppedDownFor { get; private set; }

    /// <summary>How many coordinators have taken over from another.</summary>
    public int TakeOverCount { get; private set; }

    /// <summary>All links, in a fixed order.</summary>
    public List<Link> Links { get; } = [];

    public Link ToRank(int index) => _rankLinks[Ranks[index].Gpu].Down;

    public Link FromRank(int index) => _rankLinks[Ranks[index].Gpu].Up;

    public Link ToEngine(SimulatedEngine engine) => _engineLinks[engine.Session].Down;

    public Link FromEngine(SimulatedEngine engine) => _engineLinks[engine.Session].Up;

    public void FromEngine(SimulatedEngine engine, EngineProtocol.ICommand command) => _engineLinks[engine.Session].Up.Send(command);

    private void AddRank(SimulatedRank rank)
    {
        Ranks.Add(rank);
        _rankLinks.Add(rank.Gpu, (NewLink($"to {rank.Gpu}"), NewLink($"from {rank.Gpu}")));
        Register(rank);
    }

    public SimulatedEngine AddEngine(string name)
    {
        var engine = new SimulatedEngine(this, name, Engines.Count);
        Engines.Add(engine);
        _engineLinks.Add(engine.Session, (NewLink($"to {name}"), NewLink($"from {name}")));
        engine.Connect();
        Settle();
        return engine;
    }

    /// <summary>An engine goes on under another session; what is for the old one still comes to it.</summary>
    public void Rename(SessionId before, SessionId now) => _engineLinks[now] = _engineLinks[before];

    /// <summary>An engine with a pool over all ranks.</summary>
    public (SimulatedEngine Engine, PoolId Pool) AddPool(string name, int virtualPages = 256, long limitPages = 0, long floorPages = 0, params ImmutableArray<int> ranks)
    {
        var engine = AddEngine(name);
        ImmutableArray<GpuId> gpus = ranks.IsEmpty ? [.. Ranks.Select(r => r.Gpu)] : [.. ranks.Select(TestPools.Gpu)];
        var request = engine.Open(TestPools.Spec(name, gpus, virtualPages, limitPages * TestPools.PageBytes, floorPages * TestPools.PageBytes));
        Settle();
        return (engine, Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[request]).Pool);
    }

    /// <summary>An engine with a pool over all ranks that workers map.</summary>
    public (SimulatedEngine Engine, PoolId Pool) AddWorkerPool(bool isAttached = true)
    {
        var engine = AddEngine("w");
        var request = engine.Open(TestPools.WorkerSpec("w", [.. Ranks.Select(r => r.Gpu)]));
        Settle();
        var pool = Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[request]).Pool;
        for (var rank = 0; isAttached && rank < Ranks.Count; rank++)
        {
            SetWorker(rank, pool, RankWorker.Attached);
        }

        Settle();
        return (engine, pool);
    }

    /// <summary>The coordinator's process ends, and another one takes over under a higher epoch. What was on its way from ranks to the old one is lost.</summary>
    public void TakeOver()
    {
        var highest = Ranks.Select(r => r.HighestEpoch.Counter).Append(Coordinator.Epoch.Counter).Append(SteppedDownFor?.Counter ?? 0).Max();
        Coordinator = new DomainState(new Epoch(highest + 1, 1), _settings, this, Now);
        SteppedDownFor = null;
        TakeOverCount++;
        foreach (var rank in Ranks)
        {
            Register(rank);
        }
    }

    /// <summary>The pool's worker on a rank attaches, is lost but lives, or dies.</summary>
    public void SetWorker(int index, PoolId pool, RankWorker worker, bool isAlive = false)
    {
        var rank = Ranks[index];
        rank.Pools[pool].Worker = worker;
        rank.Pools[pool].IsWorkerOutOfReach = worker == RankWorker.Gone && isAlive;
        _rankLinks[rank.Gpu].Up.Send(new Mail(new RankProtocol.WorkerChanged(rank.Gpu, rank.Incarnation, pool, worker), Coordinator.Epoch));
    }

    /// <summary>True when the coordinator waits for the pool's engine to close it.</summary>
    public bool IsLost(PoolId pool) => Coordinator.Describe().Pools.Any(p => p.Pool == pool && p.State == "lost");

    public void Register(SimulatedRank rank)
    {
        if (!rank.IsDown)
        {
            _rankLinks[rank.Gpu].Up.Send(new Mail(rank.Registration, null));
        }
    }

    /// <summary>A host is killed; its workers live on. The coordinator may learn of it at once, or by its next life.</summary>
    public void KillHost(int index, bool isNoticed)
    {
        var rank = Ranks[index];
        if (isNoticed)
        {
            Coordinator.RankLost(Now, rank.Gpu, rank.Incarnation, "its node left the cluster");
        }

        rank.Kill();
        _rankLinks[rank.Gpu].Down.Clear();
        Check();
    }

    /// <summary>A host that was killed is started again.</summary>
    public void ReviveHost(int index)
    {
        Ranks[index].Revive();
        Register(Ranks[index]);
    }

    /// <summary>All workers have handed over what they kept of that host, or have ended.</summary>
    public void RecoverHost(int index)
    {
        Ranks[index].Recover();
        Register(Ranks[index]);
    }

    /// <summary>The cluster has removed the rank's node; another life of it starts.</summary>
    public void RestartRank(int index)
    {
        var rank = Ranks[index];
        Coordinator.RankLost(Now, rank.Gpu, rank.Incarnation, "its node left the cluster");
        rank.Restart();
        Register(rank);
        Check();
    }

    /// <summary>Delivers one message of a link.</summary>
    public void Deliver(Link link)
    {
        var message = link.Take();
        var place = Links.IndexOf(link);
        if (place < 2 * Ranks.Count && place % 2 == 0)
        {
            var (command, epoch) = (Mail)message;
            if (Ranks[place / 2].Handle((RankProtocol.ICommand)command) is { } reply)
            {
                Links[place + 1].Send(new Mail(reply, epoch));
            }
        }
        else if (place >= 2 * Ranks.Count && place % 2 == 0)
        {
            Engines[(place / 2) - Ranks.Count].Receive((EngineProtocol.IMessage)message);
        }
        else if (SteppedDownFor is null)
        {
            Handle(message);
        }

        Check();
    }

    /// <summary>Delivers all that can be delivered, and all that follows from it.</summary>
    public void Settle()
    {
        while (Links.Find(l => l.CanDeliver) is { } link)
        {
            Deliver(link);
        }
    }

    /// <summary>Lets time pass, with everything that happens by the clock.</summary>
    /// <param name="seconds">How long.</param>
    /// <param name="coarse">True to look at the clock ten times more seldom.</param>
    public void Advance(double seconds, bool coarse = false)
    {
        var tick = coarse ? 10 * TickInterval : TickInterval;
        for (var end = Now + TimeSpan.FromSeconds(seconds); Now < end;)
        {
            Now += tick;
            if (SteppedDownFor is not null)
            {
                TakeOver();
            }

            Coordinator.Tick(Now);
            Check();
            foreach (var engine in Engines)
            {
                engine.Tick();
            }

            foreach (var rank in Ranks)
            {
                if (IsDue(RegisterInterval, tick))
                {
                    Register(rank);
                }

                if (IsDue(HousekeepingInterval, tick) && !rank.IsDown && !rank.IsRecovering)
                {
                    foreach (var news in rank.Housekeep().Concat<RankProtocol.IReply>(rank.WorkerNews()))
                    {
                        _rankLinks[rank.Gpu].Up.Send(new Mail(news, Coordinator.Epoch));
                    }
                }
            }

            Settle();
        }
    }

    /// <summary>Nothing is held, lost or doubled any more, and ranks do what they are told.</summary>
    public void Heal()
    {
        foreach (var link in Links)
        {
            link.Heal();
        }

        foreach (var engine in Engines)
        {
            engine.ClosesLost = true;
        }

        for (var rank = 0; rank < Ranks.Count; rank++)
        {
            if (Ranks[rank].IsDown)
            {
                ReviveHost(rank);
            }

            if (Ranks[rank].IsRecovering)
            {
                RecoverHost(rank);
            }
        }

        foreach (var rank in Ranks)
        {
            rank.RefusesMaps = rank.SticksOn = rank.ShowsWrongDigests = 0;
            rank.StaysStuck = false;
            rank.RefusesToOpen = null;
            rank.BytesTakenByOthers = 0;
        }
    }

    void ICoordinatorPort.ToRank(GpuId gpu, RankProtocol.ICommand command)
    {
        QuietRules.CheckCommand(this, gpu, command);
        _rankLinks[gpu].Down.Send(new Mail(command, command.Epoch));
    }

    void ICoordinatorPort.ToEngine(SessionId session, EngineProtocol.IMessage message)
    {
        if (message is EngineProtocol.PagesAllocated granted && _told.Add((session, granted.Request)))
        {
            QuietRules.CheckGrant(this, granted);
        }

        _engineLinks[session].Down.Send(message);
    }

    void ICoordinatorPort.ToOperator(long ticket, OperatorProtocol.IReply reply) => OperatorReplies[ticket] = reply;

    void ICoordinatorPort.ForgetEngine(SessionId session)
    {
    }

    void ICoordinatorPort.StepDown(Epoch newer) => SteppedDownFor = newer;

    void ICoordinatorPort.Warn(string what) => Warnings.Add(what);

    private void Handle(object message)
    {
        switch (message)
        {
            case Mail { ForEpoch: { } epoch } when epoch != Coordinator.Epoch:
                break;
            case Mail { Message: RankProtocol.RegisterRank registration }:
                if (Coordinator.FindRegistrationProblem(registration) is null)
                {
                    Coordinator.RegisterRank(Now, registration, "here");
                }

                break;
            case Mail { Message: RankProtocol.RankReported report }:
                Coordinator.RankReported(Now, report);
                break;
            case Mail { Message: RankProtocol.RankPoolAnswer answer }:
                Coordinator.RankPoolAnswered(Now, answer);
                break;
            case Mail { Message: RankProtocol.Decided decided }:
                Coordinator.Decided(Now, decided.Answer);
                break;
            case Mail { Message: RankProtocol.WorkerChanged changed }:
                Coordinator.WorkerChanged(Now, changed);
                break;
            case Mail { Message: RankProtocol.QuarantineCleared cleared }:
                Coordinator.QuarantineCleared(Now, cleared);
                break;
            case Mail { Message: RankProtocol.PoliciesKept kept }:
                Coordinator.PoliciesKept(Now, kept);
                break;
            case Mail { Message: RankProtocol.EpochRefused refused }:
                Coordinator.EpochRefused(Now, refused);
                break;
            case EngineProtocol.IRequest request:
                Coordinator.Receive(Now, request);
                break;
            case EngineProtocol.OpenSession open:
                Coordinator.OpenSession(Now, open);
                break;
            case EngineProtocol.CloseSession close:
                Coordinator.CloseSession(Now, close.Session);
                break;
            case EngineProtocol.SessionDied died:
                Coordinator.SessionDied(Now, died.Session);
                break;
            case EngineProtocol.ReportWarmExtents warm:
                Coordinator.ReportWarm(Now, warm);
                break;
            case EngineProtocol.RevokeAnswered answered:
                Coordinator.RevokeAnswered(Now, answered);
                break;
            case EngineProtocol.ExtentsChecked held:
                Coordinator.ExtentsChecked(Now, held);
                break;
            default:
                throw new InvalidOperationException($"{message} is nothing that a coordinator hears.");
        }
    }

    private void Check()
    {
        if (SteppedDownFor is null && Coordinator.FindImbalance() is { } problem)
        {
            throw new BrokenRuleException(problem);
        }
    }

    private bool IsDue(TimeSpan interval, TimeSpan tick) => Now.Ticks / interval.Ticks != (Now - tick).Ticks / interval.Ticks;

    private Link NewLink(string name)
    {
        var link = new Link(name);
        Links.Add(link);
        return link;
    }

    /// <param name="Message">What is sent.</param>
    /// <param name="ForEpoch">The coordinator that it is from, or for; null for whichever decides.</param>
    internal sealed record Mail(object Message, Epoch? ForEpoch);
}
