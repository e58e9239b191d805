using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;

namespace Kvcached.Client.Sessions;

/// <summary>A pool that is being opened: whoever waits gets it, or, when it comes too late, it is closed again.</summary>
internal sealed class PoolOpening
{
    private readonly Lock _lock = new();
    private readonly PoolSpec _spec;
    private readonly KvPoolOptions _options;
    private readonly ISessionPort _port;
    private readonly SchedulerSession _session;
    private KvPool? _pool;
    private bool _isGivenUp;

    public PoolOpening(PoolSpec spec, KvPoolOptions options, ISessionPort port, SchedulerSession session)
    {
        (_spec, _options, _port, _session) = (spec, options, port, session);
        Request = new PendingRequest((id, request, acked) => new EngineProtocol.OpenPool(id, request, acked, spec), Answered);
    }

    public PendingRequest Request { get; }

    public ClientResult<KvPool> Wait(TimeSpan deadline)
    {
        var result = Request.Wait(deadline, $"The opening of pool '{_spec.Name}'");
        lock (_lock)
        {
            _isGivenUp = _pool is null;
            return _pool is { } pool ? pool
                : result.Refusal ?? new Refusal(
                    RefusalReason.InvalidMessage, $"Pool '{_spec.Name}' was answered with what is no pool. Use a host and a library of one version.");
        }
    }

    private void Answered(EngineProtocol.IReply reply)
    {
        if (reply is not EngineProtocol.PoolOpened opened)
        {
            return;
        }

        using var tags = _session.TakePredecessorTags(opened.Pool);
        lock (_lock)
        {
            if (!_isGivenUp)
            {
                var pool = new KvPool(opened.Pool, _spec, _options, _port);
                pool.TakeOver(opened.Extents, tags);
                _session.Attach(pool);
                _pool = pool;
                return;
            }
        }

        _session.Submit(new PendingRequest((id, request, acked) => new EngineProtocol.ClosePool(id, request, acked, opened.Pool)) { Pool = opened.Pool });
    }
}
