using System.Collections.Immutable;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Orchestration;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Tests.Fakes;

/// <summary>Things that many tests start from.</summary>
internal static class Given
{
    /// <summary>So many requests, one each <paramref name="spacing"/> of trace time.</summary>
    public static ImmutableArray<TraceRequest> Requests(int count, TimeSpan spacing, int context, int generated) =>
        [.. Enumerable.Range(0, count).Select(i => new TraceRequest(i, spacing * i, context, generated))];

    /// <summary>A plan of two engines on two hosts.</summary>
    public static RunPlan Plan(int requestsOfEach = 3)
    {
        var requests = Requests(requestsOfEach, TimeSpan.FromSeconds(1), 100, 10);
        ImmutableArray<EnginePlan> engines =
        [
            new("conv", ReplayModels.Llama8B.WithLayers(4), 2, "conv.csv", TimeSpan.Zero, requests),
            new("small", ReplayModels.Llama1B.WithLayers(2), 1, "conv.csv", TimeSpan.FromMinutes(29), requests),
        ];
        return new RunPlan(2, RunPlan.HostBackend, 1L << 30, TimeSpan.FromMinutes(5), engines, new DemandEstimate(1, 2, 1), []);
    }
}
