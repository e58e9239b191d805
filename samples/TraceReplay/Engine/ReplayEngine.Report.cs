using System.Collections.Immutable;
using Kvcached.TraceReplay.Reporting;

namespace Kvcached.TraceReplay.Engine;

/// <summary>What the engine says of itself.</summary>
internal sealed partial class ReplayEngine
{
    /// <summary>Samples that a pool remembers; once it holds so many, those of the warm-up are gone.</summary>
    private const int RememberedSamples = 4096;

    private int _mapSamplesBefore;
    private int _unmapSamplesBefore;
    private long _peakUsedBlocks;
    private long _peakMappedBytes;

    /// <summary>Milliseconds of growth requests since the warm-up, as far as the pool remembers them.</summary>
    public ImmutableArray<double> MapMilliseconds => Since(_mapSamplesBefore, _pool.GetStats().MapLatencies);

    /// <summary>The same of returns.</summary>
    public ImmutableArray<double> UnmapMilliseconds => Since(_unmapSamplesBefore, _pool.GetStats().UnmapLatencies);

    /// <summary>The samples so far are of the warm-up.</summary>
    private void ForgetSamples()
    {
        var stats = _pool.GetStats();
        (_mapSamplesBefore, _unmapSamplesBefore) = (stats.MapLatencies.Length, stats.UnmapLatencies.Length);
    }

    private void NotePeaks()
    {
        var stats = _pool.GetStats();
        _peakUsedBlocks = Math.Max(_peakUsedBlocks, stats.UsedBlocks);
        _peakMappedBytes = Math.Max(_peakMappedBytes, stats.MappedBytesPerRank.Sum());
    }

    private static ImmutableArray<double> Since(int before, ImmutableArray<double> samples) =>
        samples.Length < RememberedSamples ? samples[Math.Min(before, samples.Length)..] : samples;

    private EngineReport Describe(ReplayClock clock)
    {
        var stats = _pool.GetStats();
        var ranks = _pool.Spec.Geometry.Ranks;
        var peakPages = (_peakUsedBlocks + _blocksPerPage - 1) / _blocksPerPage;
        return new EngineReport
        {
            Name = _name,
            Model = _model,
            Gpus = [.. ranks.Select(rank => rank.Gpu.Value)],
            TraceSeconds = clock.TraceNow.TotalSeconds,
            Requests = _requests.Length,
            Arrived = _batch.ArrivedCount,
            Waiting = _batch.WaitingCount,
            Running = _batch.RunningCount,
            Finished = _batch.FinishedCount,
            Preemptions = _batch.PreemptionCount,
            Turns = _turns,
            LateTurns = _lateTurns,
            BlocksAllocated = _blocks.AllocatedCount,
            BlocksVerified = _blocks.VerifiedCount,
            BlocksLost = _blocks.LostCount,
            BlocksFilledWhole = _blocks.WholeCount,
            CorruptBlocks = _blocks.CorruptCount,
            Problem = _problem ?? _blocks.FirstProblem,
            MappedBytesPerRank = stats.MappedBytesPerRank,
            LiveBytesPerRank = stats.LiveBytesPerRank,
            PeakMappedBytes = _peakMappedBytes,
            PeakLiveBytes = peakPages * _shape.BytesPerPageId * ranks.Length,
            Grants = stats.Grants,
            Refusals = stats.Refusals,
            RevokedExtents = stats.RevokedExtents,
            Decisions = stats.Decisions,
            MapMillisecondsP50 = Percentile.Of(MapMilliseconds, 50),
            MapMillisecondsP99 = Percentile.Of(MapMilliseconds, 99),
            UnmapMillisecondsP50 = Percentile.Of(UnmapMilliseconds, 50),
        };
    }
}
