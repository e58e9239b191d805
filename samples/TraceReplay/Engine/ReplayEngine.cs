using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Geometry;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// Replays a trace against one pool as an engine would use it: turn after turn it decodes, admits, stamps and verifies, and
/// beside its turns it asks for pages ahead of need and returns idle ones.
/// </summary>
internal sealed partial class ReplayEngine
{
    private const int Group = 0;

    /// <summary>How often the last blocks are offered for verification when a rank can't answer.</summary>
    private const int FinalFlushes = 5;

    private const int WarmUpRounds = 30;
    private const int WarmUpBlocks = 32;

    private static readonly TimeSpan WarmUpLimit = TimeSpan.FromSeconds(5);

    private readonly string _name;
    private readonly string _model;
    private readonly IEnginePool _pool;
    private readonly ImmutableArray<TraceRequest> _requests;
    private readonly ReplayOptions _options;
    private readonly TimeProvider _time;
    private readonly CheckedBlocks _blocks;
    private readonly ContinuousBatch _batch;
    private readonly GrowthPlanner _planner;
    private readonly GrowthRequests _growth;
    private readonly KvGroupShape _shape;
    private readonly int _blocksPerPage;
    private Task _trim = Task.CompletedTask;
    private TimeSpan _nextTrim;
    private int _next;
    private long _turns;
    private long _lateTurns;
    private string? _problem;

    /// <param name="name">The engine's name.</param>
    /// <param name="model">Its model's name, for reports.</param>
    /// <param name="pool">An open pool with one KV group. The caller disposes it afterwards.</param>
    /// <param name="requests">Requests by arrival.</param>
    /// <param name="options">How to replay them.</param>
    /// <param name="time">The clock.</param>
    public ReplayEngine(
        string name, string model, IEnginePool pool, ImmutableArray<TraceRequest> requests, ReplayOptions options, TimeProvider time)
    {
        (_name, _model, _pool, _requests, _options, _time) = (name, model, pool, requests, options, time);
        _shape = pool.Spec.Geometry.Ranks[0].Groups[Group];
        _blocksPerPage = (int)Math.Max(1, _shape.PageBytes / _shape.BlockBytes);
        _blocks = new CheckedBlocks(pool, options.Seed, options.WholeShare);
        _batch = new ContinuousBatch(_blocks, options);
        _planner = new GrowthPlanner(_blocksPerPage);
        _growth = new GrowthRequests(pool);
    }

    /// <summary>
    /// Lets every part do its work a few times before time counts: the first calls of programs that compile themselves, and the
    /// first of a copier, take far longer than any later one. Its blocks are checked and counted as all others.
    /// </summary>
    public async Task WarmUpAsync(CancellationToken cancellation)
    {
        var clock = new ReplayClock(_time, 1);
        for (var round = 0; round < WarmUpRounds && clock.Now < WarmUpLimit; round++)
        {
            _growth.Ask(1, clock.Now, cancellation);
            await _growth.SettleAsync(clock.Now);
            List<StampedBlock> blocks = [];
            if (_blocks.TryAllocate(Math.Min(_blocksPerPage, WarmUpBlocks), blocks))
            {
                await _blocks.FlushAsync(cancellation);
                _blocks.Retire(blocks);
                await _blocks.FlushAsync(cancellation);
            }

            await _pool.TrimAsync(Group, 0, TimeSpan.Zero, cancellation);
        }

        ForgetSamples();
    }

    /// <summary>
    /// Runs until every request is finished, the time to drain is over, or it is cancelled; then verifies and frees what is left.
    /// </summary>
    /// <param name="report">Called with the counts of the moment, on the loop's own thread.</param>
    /// <param name="cancellation">Ends the run early; what had not finished counts as unfinished.</param>
    public async Task<EngineReport> RunAsync(Action<EngineReport> report, CancellationToken cancellation)
    {
        var clock = new ReplayClock(_time, _options.Speed);
        var end = clock.WhenTrace(_options.Window) + _options.DrainLimit;
        var nextReport = TimeSpan.Zero;
        var due = TimeSpan.Zero;
        try
        {
            while (!IsDone && clock.Now < end && _problem is null)
            {
                cancellation.ThrowIfCancellationRequested();
                await TurnAsync(clock, cancellation);
                if (clock.Now >= nextReport)
                {
                    report(Describe(clock));
                    nextReport = clock.Now + _options.ReportInterval;
                }

                due = NextTurn(due, clock, end);
                await clock.WaitUntilAsync(due, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The counts say how far it came.
        }

        await EndAsync(clock);
        return Describe(clock);
    }

    private bool HasWork => _batch.RunningCount > 0 || _batch.WaitingCount > 0 || _blocks.RetiredCount > 0;

    private bool IsDone => _next == _requests.Length && !HasWork;

    private async Task TurnAsync(ReplayClock clock, CancellationToken cancellation)
    {
        var (now, traceNow) = (clock.Now, clock.TraceNow);
        _turns++;
        if (_pool is IResettablePool resettable && resettable.TakeReset())
        {
            _batch.LoseAll();
        }

        while (_next < _requests.Length && _requests[_next].Arrival <= traceNow)
        {
            _batch.Enqueue(_requests[_next++]);
        }

        await _growth.PollAsync(now);
        var hasPreempted = _batch.Decode(traceNow, mayPreempt: _growth.IsPausing(now));
        _batch.RetireFinished();
        if (!hasPreempted && !(_batch.RunningCount == 0 && _batch.PreemptionCount > 0 && _growth.IsPausing(now)))
        {
            // After a refusal new requests must leave the running ones room to grow, or they would only be preempted again.
            var reserve = _growth.IsPausing(now) ? _batch.RunningCount : 0;
            _batch.Admit(traceNow, reserve, FreeBlocks());
        }

        NotePeaks();
        await _blocks.FlushAsync(cancellation);
        _problem ??= _pool.Withdrawn is { } withdrawn ? $"{_pool.Id} was withdrawn: {withdrawn}"
            : _blocks.IsBroken ? _blocks.FirstProblem : null;

        _planner.Observe(now, _blocks.AllocatedCount);
        var horizon = GrowthPlanner.Horizon * _options.Speed;
        if (_batch.RunningCount + _batch.WaitingCount > 0)
        {
            _growth.Ask(_planner.PagesToRequest(FreeBlocks(), _batch.DemandBlocks(traceNow, horizon)), now, cancellation);
        }

        Trim(now, cancellation);
    }

    /// <summary>Idle pages go back beside the turns, so that an unmap never delays a token.</summary>
    private void Trim(TimeSpan now, CancellationToken cancellation)
    {
        if (now >= _nextTrim && _trim.IsCompleted)
        {
            _nextTrim = now + _options.TrimInterval;
            var keep = HasWork ? _planner.WarmPagesToKeep : 0;
            _trim = _pool.TrimAsync(Group, keep, _options.IdleDecay / _options.Speed, cancellation);
        }
    }

    /// <summary>
    /// When the next turn begins: one turn after this one was due while there is work, else when something is due. Turns that are
    /// late aren't made up for: an engine that is slowed down generates its tokens later.
    /// </summary>
    private TimeSpan NextTurn(TimeSpan due, ReplayClock clock, TimeSpan end)
    {
        var next = due + _options.Turn;
        if (next < clock.Now)
        {
            _lateTurns++;
            next = clock.Now;
        }

        if (HasWork || _growth.IsInFlight)
        {
            return next;
        }

        var nextEvent = _next < _requests.Length ? clock.WhenTrace(_requests[_next].Arrival) : end;
        nextEvent = nextEvent < _nextTrim ? nextEvent : _nextTrim;
        return nextEvent > next ? nextEvent : next;
    }

    private async Task EndAsync(ReplayClock clock)
    {
        // Whatever cancelled the run must not keep the last blocks from being checked.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(15), _time);
        _batch.StopAll();
        await _growth.SettleAsync(clock.Now);
        await _trim.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        try
        {
            for (var attempt = 0; attempt < FinalFlushes && _pool.Withdrawn is null && !_blocks.IsBroken && HasRetired; attempt++)
            {
                await _blocks.FlushAsync(limit.Token);
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            _problem ??= "the last blocks could not be verified in time.";
        }
    }

    private bool HasRetired => _blocks.RetiredCount > 0;

    private long FreeBlocks()
    {
        var stats = _pool.GetStats();
        return ((long)stats.MappedPages * _blocksPerPage) - stats.UsedBlocks;
    }
}
