using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>An engine's side of a session: numbers requests, sends them again until they are answered, and remembers what it holds.</summary>
internal sealed class SimulatedEngine(SimulatedDomain domain, string name, int number)
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

        foreach (var pool in Lost.Where(l => ClosesLost && domain.Now - l.Value.Since >= StepsEndAfter).Select(l => l.Key).ToArray())
        {
            Close(pool);
        }

        foreach (var pending in _pending.Values.Where(p => domain.Now - p.SentAt >= ResendAfter).ToArray())
        {
            Send(pending);
        }
    }

    public void Receive(EngineProtocol.IMessage message)
    {
        if (message.Session != Session)
        {
            return;
        }

        switch (message)
        {
            case EngineProtocol.IReply reply when _pending.Remove(reply.Request.Value, out var pending):
                Answers.Add(reply.Request, reply);
                Take(reply, pending.Request);
                break;
            case EngineProtocol.IReply reply:
                TakeAgain(reply);
                break;
            case EngineProtocol.ShrinkRequested shrink:
                Events.Add(shrink);
                Shrink(shrink);
                break;
            case EngineProtocol.RevokeExtents revoke:
                Events.Add(revoke);
                GiveUp(revoke);
                break;
            case EngineProtocol.CheckExtents check:
                Events.Add(check);
                Check(check);
                break;
            case EngineProtocol.PoolWithdrawn withdrawn:
                Events.Add(withdrawn);
                Withdrawn[withdrawn.Pool] = withdrawn.Refusal;
                if (Held.Remove(withdrawn.Pool, out var lost) && domain.IsLost(withdrawn.Pool))
                {
                    Lost.Add(withdrawn.Pool, (domain.Now, lost));
                }

                break;
            case EngineProtocol.SessionOpened opened:
                Events.Add(opened);
                _openedAt = domain.Now;
                break;
            case EngineProtocol.SessionRefused { Refusal.Reason: RefusalReason.UnknownSession } refused when Events.Any(e => e is EngineProtocol.SessionOpened) && Renews:
                Events.Add(refused);
                End(refused.Refusal);
                break;
            case EngineProtocol.IEvent other:
                Events.Add(other);
                break;
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

    private void Take(EngineProtocol.IReply reply, EngineProtocol.IRequest request)
    {
        switch (reply)
        {
            case EngineProtocol.PoolOpened opened:
                // One that it has open already is none the more so.
                _opened.Add(opened.Pool);
                Held.TryAdd(opened.Pool, [.. opened.Extents]);
                break;
            case EngineProtocol.PagesAllocated allocated when Held.TryGetValue(allocated.Pool, out var held):
                held.UnionWith(allocated.Extents);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.Busy } when request is EngineProtocol.FreeExtents free:
                Held[free.Pool].UnionWith(free.Extents);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownSession } refused:
                End(refused.Refusal);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownPool } refused when request is EngineProtocol.AllocatePages a:
                Withdrawn.TryAdd(a.Pool, refused.Refusal);
                Held.Remove(a.Pool);
                break;
        }
    }

    private void TakeAgain(EngineProtocol.IReply reply)
    {
        if (reply.Request.Value > _ackedThrough && Answers.TryGetValue(reply.Request, out var first) && !IsSame(first, reply)
            && domain.TakeOverCount == 0)
        {
            throw new BrokenRuleException($"{reply.Request} of {Name} was answered with {first} and then with {reply}.");
        }

        if (reply is EngineProtocol.PagesAllocated allocated && Held.TryGetValue(allocated.Pool, out var held))
        {
            // A copy of an old request, carried out by a new coordinator.
            var foreign = allocated.Extents.Where(e => !held.Contains(e) && !IsReturning(e)).ToImmutableArray();
            if (!foreign.IsEmpty)
            {
                Free(allocated.Pool, foreign);
            }
        }
        else if (reply is EngineProtocol.PoolOpened opened && _opened.Add(opened.Pool))
        {
            Close(opened.Pool);
        }
    }

    private void Shrink(EngineProtocol.ShrinkRequested shrink)
    {
        if (GivesUp is null)
        {
            return;
        }

        var givenUp = ImmutableArray.CreateBuilder<Extent>();
        var bytes = 0L;
        foreach (var extent in Held.TryGetValue(shrink.Pool, out var held) ? held.Where(e => GivesUp(e)).OrderBy(e => e.First.Value) : Enumerable.Empty<Extent>())
        {
            if (bytes < shrink.Wanted.Max(w => w.ByteCount))
            {
                givenUp.Add(extent);
                bytes += extent.PageCount * TestPools.PageBytes;
            }
        }

        if (givenUp.Count > 0)
        {
            Free(shrink.Pool, givenUp.ToImmutable());
        }

        domain.FromEngine(this, new EngineProtocol.RevokeAnswered(Session, shrink.Pool, shrink.ShrinkId, givenUp.ToImmutable(), EngineStep.None));
    }

    private void GiveUp(EngineProtocol.RevokeExtents revoke)
    {
        if (GivesUp is null)
        {
            return;
        }

        ImmutableArray<Extent> givenUp = Held.TryGetValue(revoke.Pool, out var held) ? [.. revoke.Extents.Where(e => held.Contains(e) && GivesUp(e))] : [];
        if (!givenUp.IsEmpty)
        {
            Free(revoke.Pool, givenUp);
        }

        domain.FromEngine(this, new EngineProtocol.RevokeAnswered(Session, revoke.Pool, revoke.RevokeId, givenUp, EngineStep.None));
    }

    private void Check(EngineProtocol.CheckExtents check)
    {
        if (Held.TryGetValue(check.Pool, out var held) || (Lost.TryGetValue(check.Pool, out var lost) && (held = lost.Extents) is not null))
        {
            domain.FromEngine(this, new EngineProtocol.ExtentsChecked(
                Session, check.Pool, check.Epoch, [.. check.Extents.Select(e => e.Extent).Where(held.Contains)],
                [.. check.Extents.Where(e => !held.Contains(e.Extent) && !IsReturning(e.Extent) && !_pending.ContainsKey(e.Request.Value)).Select(e => e.Extent)]));
        }
        else if (!PendingRequests.Any(r => r is EngineProtocol.OpenPool || (r is EngineProtocol.ClosePool close && close.Pool == check.Pool)))
        {
            Close(check.Pool);
        }
    }

    /// <summary>True while its return has no answer: it may be refused.</summary>
    private bool IsReturning(Extent extent) => PendingRequests.OfType<EngineProtocol.FreeExtents>().Any(f => f.Extents.Contains(extent));

    private static bool IsSame(EngineProtocol.IReply left, EngineProtocol.IReply right) => (left, right) switch
    {
        (EngineProtocol.PagesAllocated a, EngineProtocol.PagesAllocated b) => a.Extents.SequenceEqual(b.Extents),
        (EngineProtocol.PoolOpened a, EngineProtocol.PoolOpened b) => a.Pool == b.Pool,
        _ => left == right,
    };

    private sealed class Pending(Func<RequestId, RequestId, EngineProtocol.IRequest> make, RequestId id)
    {
        public Func<RequestId, RequestId, EngineProtocol.IRequest> Make { get; } = make;

        public RequestId Id { get; } = id;

        public EngineProtocol.IRequest Request { get; set; } = null!;

        public TimeSpan SentAt { get; set; }
    }
}
