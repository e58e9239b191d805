using System.Collections.Immutable;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Display;

/// <summary>What a display shows at one moment.</summary>
/// <param name="Plan">The run.</param>
/// <param name="Speed">Trace time per real time.</param>
/// <param name="GpuNames">Names of the GPUs, in the hosts' order.</param>
/// <param name="Reports">Last counts of each engine, in the plan's order; null before the first.</param>
internal sealed record RunPicture(RunPlan Plan, double Speed, ImmutableArray<string> GpuNames, ImmutableArray<EngineReport?> Reports)
{
    /// <summary>Bytes that one engine holds on one GPU.</summary>
    public long MappedBytes(int engine, int gpu) =>
        Reports[engine] is { } report && gpu < report.MappedBytesPerRank.Length ? report.MappedBytesPerRank[gpu] : 0;

    /// <summary>Trace time, as the engine says that has come farthest.</summary>
    public TimeSpan TraceTime => TimeSpan.FromSeconds(Reports.Max(report => report?.TraceSeconds ?? 0));

    public long Sum(Func<EngineReport, long> count) => Reports.Sum(report => report is null ? 0 : count(report));
}
