using Kvcached.Client.Sessions;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client.Tests.Support;

/// <summary>A session that the test plays: requests are answered as it says, on the asking thread.</summary>
internal sealed class FakePort : ISessionPort
{
    public static readonly SessionId Session = SessionId.New();

    private long _lastRequest;

    public FakePort()
    {
        Lease = new LeaseFence(Time);
        Renew();
    }

    public ManualTime Time { get; } = new();

    TimeProvider ISessionPort.Time => Time;

    public LeaseFence Lease { get; }

    public Refusal? Ended { get; set; }

    public TimeSpan CloseTimeout => TimeSpan.FromSeconds(5);

    public bool IsOwnThread { get; set; }

    public List<EngineProtocol.IRequest> Requests { get; } = [];

    public List<PoolId> Forgotten { get; } = [];

    public int Wakes { get; private set; }

    /// <summary>Answers a request; null leaves it open.</summary>
    public Func<EngineProtocol.IRequest, EngineProtocol.IReply?> Answer { get; set; } = _ => null;

    public void Renew()
    {
        Lease.Sent();
        Lease.Confirmed(TimeSpan.FromSeconds(10_000));
    }

    public void Submit(PendingRequest request)
    {
        var message = request.Make(Session, new RequestId(++_lastRequest), default);
        Requests.Add(message);
        var reply = message is EngineProtocol.ClosePool close ? new EngineProtocol.PoolClosed(Session, close.Request, close.Pool) : Answer(message);
        if (reply is not null)
        {
            request.Complete(reply);
        }
    }

    public void Wake() => Wakes++;

    public void Forget(PoolId pool) => Forgotten.Add(pool);

    /// <summary>Grants growth out of the lowest pages that weren't granted yet, by extents of one page, and frees and closes.</summary>
    public void GrantAll(KvPool pool)
    {
        var next = pool.Extents(0).Count;
        uint generation = 100;
        Answer = request =>
        {
            switch (request)
            {
                case EngineProtocol.AllocatePages allocate when next + allocate.PageCount > TestPool.PageCount:
                    return Refuse(request, RefusalReason.OutOfMemory);
                case EngineProtocol.AllocatePages allocate:
                    System.Collections.Immutable.ImmutableArray<Extent> extents =
                        [.. Enumerable.Range(next, allocate.PageCount).Select(p => TestPool.Extent(p, generation: ++generation))];
                    next += allocate.PageCount;
                    pool.Add(extents);
                    return new EngineProtocol.PagesAllocated(Session, request.Request, pool.Id, extents);
                case EngineProtocol.FreeExtents:
                    return new EngineProtocol.ExtentsFreed(Session, request.Request, pool.Id);
                default:
                    return new EngineProtocol.PoolClosed(Session, request.Request, pool.Id);
            }
        };
    }

    public static EngineProtocol.RequestRefused Refuse(EngineProtocol.IRequest request, RefusalReason reason) =>
        new(Session, request.Request, new Refusal(reason, "Refused by the test."));
}
