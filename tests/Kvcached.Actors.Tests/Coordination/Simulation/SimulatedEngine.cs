using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>An engine's side of a session: numbers requests, sends them again until they are answered, and remembers what it holds.</summary>
internal sealed partial class SimulatedEngine(SimulatedDomain domain, string name, int number)
{

    private static readonly TimeSpan StepsEndAfter = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan ResendAfter = TimeSpan.FromSeconds(2);

    private readonly SortedDictionary<long, Pending> _pending = [];
    private readonly HashSet<PoolId> _opened = [];
    private TimeSpan _renewedAt;
    private TimeSpan _openedAt = domain.Now;
    private long _lastRequest;
    private long _ackedThrough;
    private int _lives;

    public string Name { get; } = name;

    public SessionId Session { get; private set; } = new(new Guid(number + 1, 7, 7, 1, 2, 3, 4, 5, 6, 7, 8));

    /// <summary>The first answer to each request.</summary>
    public Dictionary<RequestId, EngineProtocol.IReply> Answers { get; } = [];

    /// <summary>What it was granted and hasn't given back, by pool.</summary>
    public Dictionary<PoolId, HashSet<Extent>> Held { get; } = [];

    public Dictionary<PoolId, Refusal> Withdrawn { get; } = [];

    /// <summary>Pools that lost their memory while steps used them, and since when: it closes them when those have ended.</summary>
    public Dictionary<PoolId, (TimeSpan Since, HashSet<Extent> Extents)> Lost { get; } = [];

    /// <summary>False for one that never comes to close what it has lost.</summary>
    public bool ClosesLost { get; set; } = true;

    /// <summary>Events that came, in order.</summary>
    public List<EngineProtocol.IEvent> Events { get; } = [];

    /// <summary>Which revoked extents it gives up; null answers no revoke.</summary>
    public Func<Extent, bool>? GivesUp { get; set; } = _ => true;

    public bool Renews { get; set; } = true;

    /// <summary>Why its session is over; null while it isn't.</summary>
    public Refusal? Ended { get; private set; }

    public IEnumerable<EngineProtocol.IRequest> PendingRequests => _pending.Values.Select(p => p.Request);

    public void Connect()
    {
        _renewedAt = domain.Now;
        domain.FromEngine(this, new EngineProtocol.OpenSession(Session, Name, SimulatedDomain.Name));
    }

    /// <summary>The engine's process dies without a word, and another one starts: it has a session of its own and holds nothing.</summary>
    public void Restart()
    {
        var before = Session;
        Session = new SessionId(new Guid(number + 1, 7, (short)(++_lives + 7), 1, 2, 3, 4, 5, 6, 7, 8));
        domain.Rename(before, Session);
        _pending.Clear();
        _opened.Clear();
        Held.Clear();
        Lost.Clear();
        Ended = null;
        _openedAt = domain.Now;
        Connect();
    }

    public RequestId Open(PoolSpec spec) => Ask((id, acked) => new EngineProtocol.OpenPool(Session, id, acked, spec));

    public RequestId Grow(PoolId pool, int pageCount, double deadlineSeconds = 5, int group = 0) =>
        Ask((id, acked) => new EngineProtocol.AllocatePages(Session, id, acked, pool, group, pageCount, TimeSpan.FromSeconds(deadlineSeconds)));

    public RequestId Free(PoolId pool, params ImmutableArray<Extent> extents)
    {
        if (Held.TryGetValue(pool, out var held))
        {
            held.ExceptWith(extents);
        }

        return Ask((id, acked) => new EngineProtocol.FreeExtents(Session, id, acked, pool, extents, EngineStep.None));
    }

    public RequestId Close(PoolId pool)
    {
        Held.Remove(pool);
        Lost.Remove(pool);
        return Ask((id, acked) => new EngineProtocol.ClosePool(Session, id, acked, pool));
    }

    public void ReportWarm(PoolId pool, double idleSeconds, IEnumerable<Extent> extents) => domain.FromEngine(
        this, new EngineProtocol.ReportWarmExtents(Session, pool, [.. extents.Select(e => new IdleExtent(e, TimeSpan.FromSeconds(idleSeconds)))]));

    public void CloseSession() => domain.FromEngine(this, new EngineProtocol.CloseSession(Session));

    /// <summary>The refusal of a request that was refused.</summary>
    public Refusal RefusalOf(RequestId request) => Assert.IsType<EngineProtocol.RequestRefused>(Answers[request]).Refusal;

    /// <summary>The extents of a request that was granted.</summary>
    public ImmutableArray<Extent> GrantOf(RequestId request) => Assert.IsType<EngineProtocol.PagesAllocated>(Answers[request]).Extents;

    /// <summary>Sends again what is not answered, and renews the lease.</summary>
    public void Tick()
    {
        if (Ended is not null)
        {
            return;
        }

        if (domain.Now - _openedAt >= domain.SessionLease)
        {
            End(new Refusal(RefusalReason.UnknownSession, "Not renewed within its lease."));
            return;
        }

        if (Renews && domain.Now - _renewedAt >= TimeSpan.FromSeconds(3))
        {
            Connect();
        }

        if (Lost.Count > 0)
        {
            foreach (var pool in Lost.Where(l => ClosesLost && domain.Now - l.Value.Since >= StepsEndAfter).Select(l => l.Key).ToArray())
            {
                Close(pool);
            }
        }

        if (_pending.Count > 0)
        {
            foreach (var pending in _pending.Values.Where(p => domain.Now - p.SentAt >= ResendAfter).ToArray())
            {
                Send(pending);
            }
        }
    }

    private void End(Refusal why)
    {
        Ended = why;
        Held.Clear();
        Lost.Clear();
        _pending.Clear();
    }

    private RequestId Ask(Func<RequestId, RequestId, EngineProtocol.IRequest> make)
    {
        var pending = new Pending(make, new RequestId(++_lastRequest));
        _pending.Add(_lastRequest, pending);
        Send(pending);
        return pending.Id;
    }

    private void Send(Pending pending)
    {
        _ackedThrough = Math.Max(_ackedThrough, _pending.Keys.First() - 1);
        pending.SentAt = domain.Now;
        pending.Request = pending.Make(pending.Id, new RequestId(_ackedThrough));
        domain.FromEngine(this, pending.Request);
    }

    private sealed class Pending(Func<RequestId, RequestId, EngineProtocol.IRequest> make, RequestId id)
    {
        public Func<RequestId, RequestId, EngineProtocol.IRequest> Make { get; } = make;

        public RequestId Id { get; } = id;

        public EngineProtocol.IRequest Request { get; set; } = null!;

        public TimeSpan SentAt { get; set; }
    }
}
