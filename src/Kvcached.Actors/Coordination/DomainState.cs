using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// Everything that the coordinator of a domain decides, without actors, clocks or I/O: messages go in with the time they came, commands
/// and answers come out through <see cref="ICoordinatorPort"/>. One file per topic.
/// </summary>
/// <remarks>
/// Times are on one monotonic clock of the caller's. Not thread-safe. Entry points are the public methods; each takes the time first.
/// </remarks>
internal sealed partial class DomainState
{
    private readonly CoordinatorSettings _settings;
    private readonly ICoordinatorPort _port;
    private readonly Dictionary<SessionId, SessionState> _sessions = [];
    private readonly Dictionary<GpuId, RankView> _ranks = [];
    private readonly Dictionary<PoolId, PoolState> _pools = [];
    private readonly Dictionary<string, PoolId> _poolNames = new(StringComparer.Ordinal);
    private readonly HashSet<PoolId> _closedPools = [];
    private readonly HashSet<SessionId> _endedSessions = [];
    private readonly HashSet<PoolId> _deniedPools = [];
    private readonly TimeSpan _startedAt;
    private TimeSpan _now;
    private int _lastPoolSerial;
    private long _ranksVersion;

    /// <param name="epoch">Higher than any that a rank has seen.</param>
    /// <param name="settings">Deadlines and bounds.</param>
    /// <param name="port">Where commands and answers go.</param>
    /// <param name="now">When it takes over.</param>
    public DomainState(Epoch epoch, CoordinatorSettings settings, ICoordinatorPort port, TimeSpan now)
    {
        Epoch = epoch;
        _settings = settings;
        _port = port;
        _now = _startedAt = now;

        // So that an answer to a revoke of an earlier coordinator never passes for one to ours.
        _lastRevokeId = epoch.Counter << 24;
        Note(DomainEventKinds.CoordinatorStarted, $"coordinates in {epoch}");
    }

    public Epoch Epoch { get; }

    public DomainMeters Meters { get; } = new();

    /// <summary>Does what is due: ends leases, aborts maps whose deadline has passed, sends again what is not answered.</summary>
    public void Tick(TimeSpan now)
    {
        _now = now;
        foreach (var session in _sessions.Values.Where(s => s.LeaseEnds <= now).ToArray())
        {
            EndSession(session, $"Session {session.Id} of engine '{session.EngineName}' was not renewed within {_settings.SessionLease.TotalSeconds:0.#} s.");
            _port.ForgetEngine(session.Id);
        }

        ExpireRevokes();
        ExpireShrinks();
        FollowKeepers();
        FollowDevices();
        FollowDrains();
        foreach (var pool in _pools.Values.ToArray())
        {
            ExpirePhase(pool);
            ExpireStranded(pool);
            FollowLost(pool);
            ExpireOrphan(pool);
            ExpireWorkers(pool);
            ExpireFlight(pool);
            if (pool.IsAboveLimit)
            {
                HoldToLimit(pool);
            }

            ExpireAllocations(pool);
            ExpireFrees(pool);
            SendAgain(pool);
            CheckUnconfirmed(pool);
            Pump(pool);
        }
    }

    private void Answer(EngineProtocol.IReply answer)
    {
        if (_sessions.TryGetValue(answer.Session, out var session))
        {
            session.Remember(answer);
            _port.ToEngine(answer.Session, answer);
        }
    }

    private void Refuse(EngineProtocol.IRequest request, Refusal refusal)
    {
        Meters.Refused(refusal.Reason);
        Answer(new EngineProtocol.RequestRefused(request.Session, request.Request, refusal));
    }

    private void Refuse(EngineProtocol.IRequest request, RefusalReason reason, string detail, long requestedBytes = 0, long freeBytes = 0) =>
        Refuse(request, new Refusal(reason, detail, requestedBytes, freeBytes));
}
