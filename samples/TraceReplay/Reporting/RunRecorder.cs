using System.Collections.Immutable;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>Collects samples of memory during a run.</summary>
internal sealed class RunRecorder(RunPlan plan)
{
    private readonly List<RunSample> _samples = [];

    public IReadOnlyList<RunSample> Samples => _samples;

    public RunPlan Plan { get; } = plan;

    /// <summary>Most bytes held at a time by all engines together, over all GPUs.</summary>
    public long PeakMappedBytes => _samples.Select(sample => sample.MappedBytes.Sum()).DefaultIfEmpty().Max();

    /// <summary>
    /// Bytes held for each byte of a used block, both summed over the whole run: 1 is perfect; 0 when no block was ever used.
    /// </summary>
    public double HeldOverLiveBytesMean
    {
        get
        {
            var live = _samples.Sum(sample => (double)sample.LiveBytes.Sum());
            return live > 0 ? _samples.Sum(sample => (double)sample.MappedBytes.Sum()) / live : 0;
        }
    }

    /// <summary>Mean of the bytes held by all engines together.</summary>
    public double MeanMappedBytes => _samples.Count == 0 ? 0 : _samples.Average(sample => (double)sample.MappedBytes.Sum());

    /// <summary>Takes in one moment.</summary>
    /// <param name="elapsed">Real time since trace time began.</param>
    /// <param name="pools">All open pools; an engine without one holds nothing.</param>
    /// <param name="reports">The engines' last counts, in the plan's order; null for one that has none yet.</param>
    public void Sample(TimeSpan elapsed, ImmutableArray<OpenPool> pools, ImmutableArray<EngineReport?> reports) =>
        _samples.Add(new RunSample(
            elapsed,
            [.. Plan.Engines.Select(engine => pools.Where(pool => pool.Name == engine.Name).Sum(pool => pool.MappedBytes.Sum()))],
            [.. reports.Select(report => report?.LiveBytes() ?? 0)]));
}
