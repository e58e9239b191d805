using System.Diagnostics;
using Akka.Actor;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.Scale;

/// <summary>An engine that maps one page id and gives it back, over and over, one request at a time.</summary>
internal sealed class ScaleEngine(IActorRef coordinator, PoolSpec spec, int steps) : UntypedActor, IWithTimers
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private readonly SessionId _session = SessionId.New();
    private readonly List<double> _maps = [];
    private readonly List<double> _unmaps = [];
    private IActorRef _starter = ActorRefs.Nobody;
    private PoolId _pool;
    private long _lastRequest;
    private long _askedAt;

    /// <summary>Opens the session and the pool; answered with <see cref="Ready"/>.</summary>
    public sealed class Open
    {
        public static Open Instance { get; } = new();
    }

    public sealed class Ready
    {
        public static Ready Instance { get; } = new();
    }

    /// <summary>Makes all steps; answered with <see cref="Done"/>.</summary>
    public sealed class Run
    {
        public static Run Instance { get; } = new();
    }

    public sealed record Done(IReadOnlyList<double> MapMicroseconds, IReadOnlyList<double> UnmapMicroseconds);

    private sealed class TryOpen
    {
        public static TryOpen Instance { get; } = new();
    }

    private sealed class KeepSession
    {
        public static KeepSession Instance { get; } = new();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(IActorRef coordinator, PoolSpec spec, int steps) => Akka.Actor.Props.Create(() => new ScaleEngine(coordinator, spec, steps));

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Open:
                _starter = Sender;
                Timers.StartPeriodicTimer(nameof(KeepSession), KeepSession.Instance, TimeSpan.FromSeconds(3));
                Self.Tell(KeepSession.Instance);
                Self.Tell(TryOpen.Instance);
                break;
            case KeepSession:
                coordinator.Tell(new EngineProtocol.OpenSession(_session, spec.Name, "bench"), Self);
                break;
            case TryOpen:
                _lastRequest++;
                coordinator.Tell(new EngineProtocol.OpenPool(_session, new RequestId(_lastRequest), new RequestId(_lastRequest - 1), spec), Self);
                break;
            case EngineProtocol.PoolOpened opened:
                _pool = opened.Pool;
                _starter.Tell(Ready.Instance);
                break;
            case EngineProtocol.RequestRefused when _pool == default:
                // Ranks make themselves known a moment after they have started.
                Timers.StartSingleTimer(nameof(TryOpen), TryOpen.Instance, TimeSpan.FromMilliseconds(50));
                break;
            case Run:
                _starter = Sender;
                _maps.Clear();
                _unmaps.Clear();
                Map();
                break;
            case EngineProtocol.PagesAllocated granted:
                _maps.Add(Stopwatch.GetElapsedTime(_askedAt).TotalMicroseconds);
                _askedAt = Stopwatch.GetTimestamp();
                _lastRequest++;
                coordinator.Tell(
                    new EngineProtocol.FreeExtents(_session, new RequestId(_lastRequest), new RequestId(_lastRequest - 1), _pool, granted.Extents, EngineStep.None), Self);
                break;
            case EngineProtocol.ExtentsFreed:
                _unmaps.Add(Stopwatch.GetElapsedTime(_askedAt).TotalMicroseconds);
                if (_unmaps.Count < steps)
                {
                    Map();
                }
                else
                {
                    _starter.Tell(new Done([.. _maps], [.. _unmaps]));
                }

                break;
            case EngineProtocol.RequestRefused refused:
                _starter.Tell(new Status.Failure(new InvalidOperationException($"A step of the benchmark was refused: {refused.Refusal}")));
                break;
        }
    }

    private void Map()
    {
        _askedAt = Stopwatch.GetTimestamp();
        _lastRequest++;
        coordinator.Tell(new EngineProtocol.AllocatePages(_session, new RequestId(_lastRequest), new RequestId(_lastRequest - 1), _pool, 0, 1, Deadline), Self);
    }
}
