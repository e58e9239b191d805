using System.Collections.Immutable;
using Kvcached.TraceReplay.Engine;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>How one engine ended.</summary>
/// <param name="Plan">What it was to do.</param>
/// <param name="Report">Its last counts; all zero when it never reported.</param>
/// <param name="MapMilliseconds">Times of its growth requests.</param>
/// <param name="UnmapMilliseconds">Times of its returns.</param>
/// <param name="Problem">Why it counts as failed; null when it ended well.</param>
internal sealed record EngineOutcome(
    EnginePlan Plan, EngineReport Report, ImmutableArray<double> MapMilliseconds, ImmutableArray<double> UnmapMilliseconds, string? Problem)
{
    public static EngineOutcome Of(EngineProcess engine)
    {
        var plan = engine.Plan;
        var report = engine.Latest ?? new EngineReport { Name = plan.Name, Model = plan.Model.Name, Gpus = [], Requests = plan.Requests.Length };
        var problem = engine.Failure ?? report.Problem
            ?? (engine.Summary is null ? $"it ended with exit code {engine.Process.ExitCode} and no summary; its last lines:{Environment.NewLine}{engine.Process.Tail()}" : null);
        return new EngineOutcome(plan, report, engine.Summary?.MapMilliseconds ?? [], engine.Summary?.UnmapMilliseconds ?? [], problem);
    }
}
