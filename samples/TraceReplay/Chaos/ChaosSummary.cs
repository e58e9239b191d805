using System.Collections.Immutable;
using Kvcached.TraceReplay.Chaos.Engines;
using Kvcached.TraceReplay.Chaos.Faults;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos;

/// <summary>What a run in chaos mode adds to the summary.</summary>
internal sealed record ChaosSummary
{
    /// <summary>Seed of the schedule of faults.</summary>
    public int Seed { get; init; }

    public required ImmutableSortedDictionary<string, int> FaultsInjected { get; init; }

    public required ImmutableSortedDictionary<string, int> Recoveries { get; init; }

    public required ImmutableSortedDictionary<string, double> RecoverySecondsP50 { get; init; }

    public required ImmutableSortedDictionary<string, double> RecoverySecondsMax { get; init; }

    /// <summary>Blocks, summed over ranks, that didn't hold what was written to them, in any check.</summary>
    public long CorruptBlocks { get; init; }

    /// <summary>Checks in which ranks of a pool had different layouts though nothing was under way, and answers with a wrong digest.</summary>
    public long DivergentLayouts { get; init; }

    /// <summary>Pools that were reset because a fault took all holders of some data at once; expected, and announced.</summary>
    public int PoolResets { get; init; }

    /// <summary>Pools that were lost to a fault which their data should have outlived.</summary>
    public int LostPools { get; init; }

    /// <summary>Grants to schedulers whose lease had ended.</summary>
    public int StaleGrants { get; init; }

    /// <summary>Blocks verified after faults, besides those that the replay verifies.</summary>
    public long BlocksVerifiedAfterFaults { get; init; }

    public ImmutableArray<string> Problems { get; init; } = [];

    public static ChaosSummary Create(
        int seed, ImmutableArray<FaultKind> possible, FaultLog log, ImmutableArray<EngineTeam> teams, int poolResets, int lostPools, LedgerCheck ledger,
        ImmutableArray<string> unproven)
    {
        var summary = new ChaosSummary
        {
            Seed = seed,
            FaultsInjected = log.Injected(possible),
            Recoveries = log.Recoveries,
            RecoverySecondsP50 = log.RecoverySecondsP50,
            RecoverySecondsMax = log.RecoverySecondsMax,
            CorruptBlocks = teams.Sum(team => team.Pool.CorruptBlocks),
            DivergentLayouts = teams.Sum(team => team.Pool.DivergentLayouts) + ledger.DigestMismatches,
            PoolResets = poolResets,
            LostPools = lostPools,
            StaleGrants = teams.Sum(team => team.StaleGrants),
            BlocksVerifiedAfterFaults = teams.Sum(team => team.Pool.ProvenBlocks),
        };
        return summary with { Problems = [.. summary.FindProblems(log), .. teams.Select(team => team.Pool.FirstViolation).OfType<string>(), .. unproven] };
    }

    private IEnumerable<string> FindProblems(FaultLog log)
    {
        foreach (var outcome in log.Outcomes.Where(outcome => outcome.RecoverySeconds is null))
        {
            yield return $"{FaultKinds.NameOf(outcome.Kind)} of {outcome.Target} was not recovered from: {outcome.Problem}";
        }

        if (CorruptBlocks > 0)
        {
            yield return $"{CorruptBlocks} blocks did not hold what was written to them.";
        }

        if (DivergentLayouts > 0)
        {
            yield return $"{DivergentLayouts} times ranks of a pool had different layouts.";
        }

        if (LostPools > 0)
        {
            yield return $"{LostPools} pools lost their data to faults which it should have outlived.";
        }

        if (StaleGrants > 0)
        {
            yield return $"{StaleGrants} requests of schedulers were granted after their lease had ended.";
        }
    }
}
