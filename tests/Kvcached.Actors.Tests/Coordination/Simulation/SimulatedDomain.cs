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
internal sealed partial class SimulatedDomain : ICoordinatorPort
{

    public const string Name = "test";

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RegisterInterval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan HousekeepingInterval = TimeSpan.FromSeconds(1);

    private readonly CoordinatorSettings _settings;
    private readonly Dictionary<GpuId, (Link Down, Link Up)> _rankLinks = [];
    private readonly Dictionary<SessionId, (Link Down, Link Up)> _engineLinks = [];
    private readonly HashSet<(SessionId, RequestId)> _told = [];
    private long _saidCount;

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
    public (SimulatedEngine Engine, PoolId Pool) AddWorkerPool(string name = "w", bool isAttached = true)
    {
        var engine = AddEngine(name);
        var request = engine.Open(TestPools.WorkerSpec(name, [.. Ranks.Select(r => r.Gpu)]));
        Settle();
        var pool = Assert.IsType<EngineProtocol.PoolOpened>(engine.Answers[request]).Pool;
        for (var rank = 0; isAttached && rank < Ranks.Count; rank++)
        {
            SetWorker(rank, pool, RankWorker.Attached);
        }

        Settle();
        return (engine, pool);
    }

    /// <summary>True when the coordinator waits for the pool's engine to close it.</summary>
    public bool IsLost(PoolId pool) => Coordinator.Describe().Pools.Any(p => p.Pool == pool && p.State == "lost");

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
