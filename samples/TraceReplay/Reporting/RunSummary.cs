using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Kvcached.TraceReplay.Chaos;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>The result of a run, for people and for programs.</summary>
internal sealed record RunSummary
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    /// <summary>True when all requests finished, all blocks were verified, and nothing was corrupt, mismatched or leaked.</summary>
    public bool IsGood { get; init; }

    /// <summary>Everything that speaks against it, for people.</summary>
    public ImmutableArray<string> Problems { get; init; } = [];

    public int Hosts { get; init; }

    public required string Backend { get; init; }

    /// <summary>Bytes that each host lent.</summary>
    public long MemoryBytesPerHost { get; init; }

    public int Requests { get; init; }

    public int Finished { get; init; }

    /// <summary>Decisions of the coordinator.</summary>
    public long Decisions { get; init; }

    public long BlocksAllocated { get; init; }

    /// <summary>Blocks checked on every rank before they were freed.</summary>
    public long BlocksVerified { get; init; }

    public long BlocksFilledWhole { get; init; }

    public long CorruptBlocks { get; init; }

    public long DigestMismatches { get; init; }

    /// <summary>Most bytes mapped at a time, over all engines and GPUs.</summary>
    public long PeakMappedBytes { get; init; }

    /// <summary>Mean of the bytes mapped, over all engines and GPUs.</summary>
    public double MeanMappedBytes { get; init; }

    /// <summary>What fixed shares would take: each model's own peak of used blocks, in whole pages, summed over models and GPUs.</summary>
    public long StaticBytes { get; init; }

    /// <summary>Bytes mapped for each byte of a used block, both summed over the run.</summary>
    public double HeldOverLiveBytesMean { get; init; }

    /// <summary>Requests for pages that were refused and tried again.</summary>
    public long Refusals { get; init; }

    public long Preemptions { get; init; }

    public double MapMillisecondsP50 { get; init; }

    public double MapMillisecondsP99 { get; init; }

    public double UnmapMillisecondsP50 { get; init; }

    /// <summary>Pages of 2 MiB that the hosts still held after all engines had closed.</summary>
    public long LeakedPages { get; init; }

    /// <summary>File descriptors of memory that the hosts still had open then.</summary>
    public int LeakedDescriptors { get; init; }

    public double ElapsedSeconds { get; init; }

    public ImmutableArray<ModelSummary> Models { get; init; } = [];

    /// <summary>In chaos mode: faults by kind. This and what follows is left out of other runs.</summary>
    public ImmutableSortedDictionary<string, int>? FaultsInjected { get; init; }

    /// <summary>Faults after which every pool concerned granted and verified again, by kind.</summary>
    public ImmutableSortedDictionary<string, int>? Recoveries { get; init; }

    /// <summary>Median of the seconds from a fault, pauses included, until then; by kind.</summary>
    public ImmutableSortedDictionary<string, double>? RecoverySecondsP50 { get; init; }

    public ImmutableSortedDictionary<string, double>? RecoverySecondsMax { get; init; }

    /// <summary>Times that ranks of a pool had different layouts though nothing was under way.</summary>
    public long? DivergentLayouts { get; init; }

    /// <summary>Pools whose data was lost with all its holders, as announced.</summary>
    public int? PoolResets { get; init; }

    /// <summary>Pools that were lost to a fault which their data should have outlived.</summary>
    public int? LostPools { get; init; }

    /// <summary>Grants to schedulers whose lease had ended.</summary>
    public int? StaleGrants { get; init; }

    /// <summary>Blocks verified on every rank after faults, besides those that the replay verifies.</summary>
    public long? BlocksVerifiedAfterFaults { get; init; }

    /// <summary>Seed of the schedule of faults.</summary>
    public int? Seed { get; init; }

    public static RunSummary Create(RunPlan plan, RunRecorder recorder, ImmutableArray<EngineOutcome> engines, LedgerCheck ledger, TimeSpan elapsed)
    {
        var models = engines.Select(ModelSummary.Create).ToImmutableArray();
        double[] maps = [.. engines.SelectMany(engine => engine.MapMilliseconds)];
        double[] unmaps = [.. engines.SelectMany(engine => engine.UnmapMilliseconds)];
        var problems = FindProblems(engines, ledger).ToImmutableArray();
        return new RunSummary
        {
            IsGood = problems.IsEmpty,
            Problems = problems,
            Hosts = plan.HostCount,
            Backend = plan.Backend,
            MemoryBytesPerHost = plan.MemoryBytes,
            Requests = models.Sum(model => model.Requests),
            Finished = models.Sum(model => model.Finished),
            Decisions = ledger.Decisions,
            BlocksAllocated = models.Sum(model => model.BlocksAllocated),
            BlocksVerified = models.Sum(model => model.BlocksVerified),
            BlocksFilledWhole = models.Sum(model => model.BlocksFilledWhole),
            CorruptBlocks = models.Sum(model => model.CorruptBlocks),
            DigestMismatches = ledger.DigestMismatches,
            PeakMappedBytes = recorder.PeakMappedBytes,
            MeanMappedBytes = recorder.MeanMappedBytes,
            StaticBytes = models.Sum(model => model.PeakLiveBytes),
            HeldOverLiveBytesMean = recorder.HeldOverLiveBytesMean,
            Refusals = models.Sum(model => model.Refusals),
            Preemptions = models.Sum(model => model.Preemptions),
            MapMillisecondsP50 = Percentile.Of(maps, 50),
            MapMillisecondsP99 = Percentile.Of(maps, 99),
            UnmapMillisecondsP50 = Percentile.Of(unmaps, 50),
            LeakedPages = ledger.LeakedPages,
            LeakedDescriptors = ledger.LeakedDescriptors,
            ElapsedSeconds = elapsed.TotalSeconds,
            Models = models,
        };
    }

    /// <summary>The same with what chaos mode adds.</summary>
    public RunSummary WithChaos(ChaosSummary chaos) => this with
    {
        IsGood = IsGood && chaos.Problems.IsEmpty,
        Problems = [.. Problems, .. chaos.Problems],
        CorruptBlocks = Math.Max(CorruptBlocks, chaos.CorruptBlocks),
        FaultsInjected = chaos.FaultsInjected,
        Recoveries = chaos.Recoveries,
        RecoverySecondsP50 = chaos.RecoverySecondsP50,
        RecoverySecondsMax = chaos.RecoverySecondsMax,
        DivergentLayouts = chaos.DivergentLayouts,
        PoolResets = chaos.PoolResets,
        LostPools = chaos.LostPools,
        StaleGrants = chaos.StaleGrants,
        BlocksVerifiedAfterFaults = chaos.BlocksVerifiedAfterFaults,
        Seed = chaos.Seed,
    };

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    private static IEnumerable<string> FindProblems(ImmutableArray<EngineOutcome> engines, LedgerCheck ledger)
    {
        foreach (var (plan, report, _, _, problem) in engines)
        {
            if (problem is not null)
            {
                yield return $"{plan.Name}: {problem}";
            }

            if (report.Finished != plan.Requests.Length)
            {
                yield return $"{plan.Name}: {plan.Requests.Length - report.Finished} of {plan.Requests.Length} requests did not finish; try more --memory or --drain-seconds, or less --speed.";
            }

            if (report.CorruptBlocks > 0)
            {
                yield return $"{plan.Name}: {report.CorruptBlocks} blocks did not hold what was written to them.";
            }

            if (report.BlocksVerified + report.BlocksLost != report.BlocksAllocated)
            {
                yield return $"{plan.Name}: {report.BlocksAllocated - report.BlocksVerified - report.BlocksLost} of {report.BlocksAllocated} blocks were never verified.";
            }
        }

        if (ledger.Problem is not null)
        {
            yield return ledger.Problem;
        }

        if (ledger.DigestMismatches > 0)
        {
            yield return $"{ledger.DigestMismatches} answers of ranks carried another digest than the coordinator's.";
        }

        if (ledger.LeakedPages > 0 || ledger.LeakedDescriptors > 0 || ledger.OpenPools > 0)
        {
            yield return $"{ledger.LeakedPages} pages of 2 MiB, {ledger.LeakedDescriptors} file descriptors of memory and {ledger.OpenPools} pools are left after all engines have closed.";
        }
    }
}
