using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>One engine's part of a <see cref="RunSummary"/>. Bytes are sums over its GPUs.</summary>
internal sealed record ModelSummary
{
    public required string Name { get; init; }

    public required string Model { get; init; }

    public int Layers { get; init; }

    public int TensorParallel { get; init; }

    public int Requests { get; init; }

    public int Finished { get; init; }

    public long Preemptions { get; init; }

    public long BlocksAllocated { get; init; }

    public long BlocksVerified { get; init; }

    public long BlocksFilledWhole { get; init; }

    public long CorruptBlocks { get; init; }

    public long PeakMappedBytes { get; init; }

    /// <summary>Its fixed share: most bytes of used blocks at a time, in whole pages.</summary>
    public long PeakLiveBytes { get; init; }

    public long Grants { get; init; }

    public long Refusals { get; init; }

    public long RevokedExtents { get; init; }

    public double MapMillisecondsP50 { get; init; }

    public double MapMillisecondsP99 { get; init; }

    public double UnmapMillisecondsP50 { get; init; }

    /// <summary>Turns of its loop, and those of them that came later than they should have.</summary>
    public long Turns { get; init; }

    public long LateTurns { get; init; }

    public string? Problem { get; init; }

    public static ModelSummary Create(EngineOutcome engine)
    {
        var report = engine.Report;
        return new ModelSummary
        {
            Name = engine.Plan.Name,
            Model = engine.Plan.Model.Name,
            Layers = engine.Plan.Model.LayerCount,
            TensorParallel = engine.Plan.RankCount,
            Requests = engine.Plan.Requests.Length,
            Finished = report.Finished,
            Preemptions = report.Preemptions,
            BlocksAllocated = report.BlocksAllocated,
            BlocksVerified = report.BlocksVerified,
            BlocksFilledWhole = report.BlocksFilledWhole,
            CorruptBlocks = report.CorruptBlocks,
            PeakMappedBytes = report.PeakMappedBytes,
            PeakLiveBytes = report.PeakLiveBytes,
            Grants = report.Grants,
            Refusals = report.Refusals,
            RevokedExtents = report.RevokedExtents,
            MapMillisecondsP50 = Percentile.Of(engine.MapMilliseconds, 50),
            MapMillisecondsP99 = Percentile.Of(engine.MapMilliseconds, 99),
            UnmapMillisecondsP50 = Percentile.Of(engine.UnmapMilliseconds, 50),
            Turns = report.Turns,
            LateTurns = report.LateTurns,
            Problem = engine.Problem,
        };
    }
}
