using System.Collections.Immutable;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>Either a plan or why there can be none.</summary>
internal readonly record struct RunPlanResult(RunPlan? Plan, string? Problem);

/// <summary>What a run will start, decided and checked before anything is started.</summary>
/// <param name="HostCount">Hosts.</param>
/// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
/// <param name="MemoryBytes">Bytes that each host lends.</param>
/// <param name="Window">Length of the window of arrivals, in trace time.</param>
/// <param name="Engines">The engines.</param>
/// <param name="Estimate">What the traces alone say that the first GPU needs.</param>
/// <param name="Notes">What the user should know about the choices made.</param>
internal sealed record RunPlan(
    int HostCount, string Backend, long MemoryBytes, TimeSpan Window, ImmutableArray<EnginePlan> Engines, DemandEstimate Estimate, ImmutableArray<string> Notes)
{
    public const string HostBackend = "host";

    public const string CudaBackend = "cuda";

    /// <summary>The number of hosts, for people.</summary>
    public string HostsText => HostCount == 1 ? "1 host" : $"{HostCount} hosts";

    /// <summary>Reads the traces and settles all choices.</summary>
    /// <param name="settings">Checked options.</param>
    /// <param name="machine">What the machine has.</param>
    /// <param name="programDirectory">Where this program lies; traces are looked for from there.</param>
    public static RunPlanResult Create(RunSettings settings, MachineFacts machine, string programDirectory)
    {
        var notes = ImmutableArray.CreateBuilder<string>();
        if (ChooseBackend(settings, machine, notes, out var backend) is { } backendProblem)
        {
            return new RunPlanResult(null, backendProblem);
        }

        if (PlanEngines(settings, programDirectory, out var engines) is { } traceProblem)
        {
            return new RunPlanResult(null, traceProblem);
        }

        if (settings.Hosts == 1)
        {
            notes.Add("With one host there is nothing to split over: the 8B models run at TP=1 in place of TP=2.");
        }

        if (!ReplayModels.Llama8B.DividesOver(settings.Hosts))
        {
            notes.Add($"{ReplayModels.Llama8B.KvHeadCount} key-value heads don't divide by {settings.Hosts}: each rank keeps {ReplayModels.Llama8B.HeadsOnOneOf(settings.Hosts)}.");
        }

        var estimate = DemandEstimate.Create(
            [.. engines.Select(engine => new EngineDemand(engine.Requests, engine.Model.BytesPerBlock(engine.RankCount), engine.Model.BytesPerPage(engine.RankCount)))],
            TimeSpan.FromMilliseconds(settings.DecodeStepMilliseconds), settings.PrefillTokensPerSecond);
        var memory = settings.MemoryBytes ?? (settings.IsChaos ? RoomForChaos(estimate) : estimate.SuggestedBytes);
        if (backend == HostBackend && memory * settings.Hosts > machine.AvailableBytes)
        {
            return new RunPlanResult(null,
                $"{settings.Hosts} hosts would lend {ByteSize.Format(memory)} each, but only {ByteSize.Format(machine.AvailableBytes)} of main memory are available. "
                + "Use fewer --layers, fewer --hosts or less --memory.");
        }

        if (settings.MemoryBytes is null)
        {
            notes.Add($"The traces need up to {ByteSize.Format(estimate.JointPeakBytes)} on the first GPU at a time, fixed shares {ByteSize.Format(estimate.StaticBytes)}; "
                + $"each host lends {ByteSize.Format(memory)}.");
        }

        return new RunPlanResult(
            new RunPlan(settings.Hosts, backend, memory, TimeSpan.FromMinutes(settings.Minutes), engines, estimate, notes.ToImmutable()), null);
    }

    /// <summary>So much that pages are refused because of faults, and not because memory is short.</summary>
    private static long RoomForChaos(DemandEstimate estimate) => (estimate.StaticBytes * 3 / 2) + (256 * ByteSize.MiB);

    private static string? ChooseBackend(RunSettings settings, MachineFacts machine, ImmutableArray<string>.Builder notes, out string backend)
    {
        backend = settings.Backend;
        if (settings.IsChaos)
        {
            if (backend == CudaBackend)
            {
                return "--chaos has workers that write to main memory themselves. Use --backend host, or leave it out.";
            }

            backend = HostBackend;
        }

        if (backend == CudaBackend && machine.GpuCount < settings.Hosts)
        {
            return $"{settings.Hosts} hosts need as many NVIDIA GPUs, one each; this machine shows {machine.GpuCount}. Use --hosts {Math.Max(1, machine.GpuCount)} or --backend host.";
        }

        if (backend == "auto")
        {
            backend = machine.GpuCount >= settings.Hosts ? CudaBackend : HostBackend;
            if (backend == HostBackend && machine.GpuCount > 0)
            {
                notes.Add($"{settings.Hosts} hosts need as many GPUs, but there are {machine.GpuCount}: main memory stands in. --hosts {machine.GpuCount} would use the GPU.");
            }
        }

        return null;
    }

    private static string? PlanEngines(RunSettings settings, string programDirectory, out ImmutableArray<EnginePlan> engines)
    {
        engines = [];
        var conversation = settings.ConversationTrace ?? TraceFiles.Find(TraceFiles.Conversation, programDirectory);
        var code = settings.CodeTrace ?? TraceFiles.Find(TraceFiles.Code, programDirectory);
        var large = ReplayModels.Scale(ReplayModels.Llama8B, settings.LayerCount);
        var small = ReplayModels.Scale(ReplayModels.Llama1B, settings.LayerCount);
        var wholeTrace = TraceReader.ReadFile(conversation, TimeSpan.Zero, TimeSpan.MaxValue);
        if (wholeTrace.Problem is not null)
        {
            return wholeTrace.Problem.ToString();
        }

        // The small model replays the conversations from the middle on, so that its peaks aren't those of the large one.
        var middle = TimeSpan.FromMinutes(Math.Floor(wholeTrace.Requests[^1].Arrival.TotalMinutes / 2));
        var plans = ImmutableArray.CreateBuilder<EnginePlan>();
        foreach (var (name, model, ranks, path, offset) in new[]
        {
            ("conv", large, settings.Hosts, conversation, TimeSpan.Zero),
            ("code", large, settings.Hosts, code, TimeSpan.Zero),
            ("small", small, 1, conversation, middle),
        })
        {
            var trace = TraceReader.ReadFile(path, offset, TimeSpan.FromMinutes(settings.Minutes));
            if (trace.Problem is not null)
            {
                return trace.Problem.ToString();
            }

            plans.Add(new EnginePlan(name, model, ranks, Path.GetFullPath(path), offset, trace.Requests));
        }

        engines = plans.ToImmutable();
        return null;
    }
}
