using System.Collections.Concurrent;
using System.Diagnostics;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>
/// What one actor did, seen through its mailbox. At the coordinator: from taking a request to having dealt with the last rank's answer to
/// it. At a page mapper: from taking a decision to having answered it. Written by one thread at a time.
/// </summary>
internal sealed class StepRecorder
{
    private static readonly ConcurrentDictionary<string, StepRecorder> Recorders = new(StringComparer.Ordinal);

    private readonly bool _isPinned;
    private readonly Lock _lock = new();
    private HostReport.Steps _maps = HostReport.Steps.None;
    private HostReport.Steps _unmaps = HostReport.Steps.None;
    private HostReport.Steps? _step;
    private object? _taken;
    private long _takenAt;
    private long _startedAt;
    private double _decideMicroseconds;
    private double _slowestDriverMicroseconds;
    private int _answersAwaited;
    private long _decisionCount;

    private StepRecorder(bool isPinned) => _isPinned = isPinned;

    /// <summary>Ranks whose answers end a step of the coordinator.</summary>
    public static int RankCount { get; set; } = 1;

    /// <summary>The recorder of the actors below that parent: <c>coordinator</c> or <c>rank</c>.</summary>
    public static StepRecorder Of(string parentName) => Recorders.GetOrAdd(parentName, name => new StepRecorder(isPinned: name is "rank" or "coordinator"));

    /// <summary>Reads what was recorded since the last time, and starts anew.</summary>
    public static HostReport Read()
    {
        var (coordinator, mapper) = (Of("coordinator"), Of("rank"));
        return new HostReport(coordinator.TakeMaps(), coordinator.TakeUnmaps(), mapper.TakeMaps(), mapper.TakeUnmaps(), mapper.DecisionCount, [], [], 0);
    }

    private long DecisionCount => Interlocked.Read(ref _decisionCount);

    /// <summary>The actor takes a message.</summary>
    public void Taken(object message)
    {
        _taken = message;
        _takenAt = Stopwatch.GetTimestamp();
        switch (message)
        {
            case EngineProtocol.AllocatePages:
                Start(_maps, RankCount);
                break;
            case EngineProtocol.FreeExtents:
                Start(_unmaps, RankCount);
                break;
            case RankProtocol.Decide decide:
                Interlocked.Increment(ref _decisionCount);
                Start(decide.Decision.Kind == Core.Decisions.DecisionKind.Map ? _maps : _unmaps, 0);
                break;
            case RankProtocol.Decided decided:
                _answersAwaited--;
                _slowestDriverMicroseconds = Math.Max(_slowestDriverMicroseconds, decided.Answer.DriverMicroseconds);
                break;
        }
    }

    /// <summary>The actor has dealt with the message that it took last.</summary>
    public void Finished()
    {
        if (_taken is not { } message || _step is not { } step)
        {
            return;
        }

        _taken = null;
        var now = Stopwatch.GetTimestamp();
        if (message is EngineProtocol.IRequest)
        {
            _decideMicroseconds = Microseconds(now - _takenAt);
        }

        if (message is (RankProtocol.Decide or RankProtocol.Decided) && _answersAwaited == 0)
        {
            lock (_lock)
            {
                step.TotalMicroseconds.Add(Microseconds(now - _startedAt));
                step.DecideMicroseconds.Add(_decideMicroseconds);
                step.SlowestDriverMicroseconds.Add(_slowestDriverMicroseconds);
                step.StartedAt.Add(Microseconds(_startedAt));
            }

            _step = null;
        }
    }

    /// <summary>As <see cref="Finished"/>, for actors that one thread runs; others' mailboxes are asked by several.</summary>
    public void FinishedOnPinnedThread()
    {
        if (_isPinned)
        {
            Finished();
        }
    }

    private void Start(HostReport.Steps steps, int answersAwaited)
    {
        _step = steps;
        _startedAt = _takenAt;
        _answersAwaited = answersAwaited;
        _slowestDriverMicroseconds = 0;
    }

    private HostReport.Steps TakeMaps()
    {
        lock (_lock)
        {
            (var taken, _maps) = (_maps, HostReport.Steps.None);
            return taken;
        }
    }

    private HostReport.Steps TakeUnmaps()
    {
        lock (_lock)
        {
            (var taken, _unmaps) = (_unmaps, HostReport.Steps.None);
            return taken;
        }
    }

    private static double Microseconds(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
}
