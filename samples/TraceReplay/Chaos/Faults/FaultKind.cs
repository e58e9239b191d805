using System.Collections.Immutable;

namespace Kvcached.TraceReplay.Chaos.Faults;

/// <summary>What a run in chaos mode does to the processes of its domain.</summary>
internal enum FaultKind
{
    /// <summary>The page mapper actor of a host fails, and its supervisor starts another.</summary>
    MapperCrash,

    /// <summary>A worker is killed (SIGKILL) and started again.</summary>
    WorkerKill,

    /// <summary>A worker is stopped for a while (SIGSTOP, SIGCONT).</summary>
    WorkerPause,

    /// <summary>A scheduler is killed; its successor takes the pool over.</summary>
    SchedulerKill,

    /// <summary>A scheduler is stopped until its lease is over and its successor has the pool; then it wakes, and must get nothing.</summary>
    SchedulerPause,

    /// <summary>A host that doesn't coordinate is killed and started again.</summary>
    HostKill,

    /// <summary>A host is stopped for a while.</summary>
    HostPause,

    /// <summary>The host that coordinates is killed and started again.</summary>
    CoordinatorKill,

    /// <summary>A worker's or scheduler's connections to its host are cut.</summary>
    ConnectionCut,

    /// <summary>The connections of the cluster between two hosts are cut.</summary>
    AssociationCut,

    /// <summary>A host and the worker of one of its pools are killed together: that pool's data on that rank is gone, which must be announced.</summary>
    HostAndWorkerKill,
}

/// <summary>Facts about kinds of faults.</summary>
internal static class FaultKinds
{
    public static IReadOnlyList<FaultKind> All { get; } = Enum.GetValues<FaultKind>();

    /// <summary>Its name in the summary.</summary>
    public static string NameOf(FaultKind kind)
    {
        var name = kind.ToString();
        return char.ToLowerInvariant(name[0]) + name[1..];
    }

    /// <summary>Reads names with commas between; null when one is no kind, or there is none.</summary>
    public static ImmutableArray<FaultKind>? Parse(string names)
    {
        var kinds = ImmutableArray.CreateBuilder<FaultKind>();
        foreach (var name in names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var index = All.Select(NameOf).ToList().IndexOf(name);
            if (index < 0)
            {
                return null;
            }

            kinds.Add(All[index]);
        }

        return kinds.Count == 0 ? null : kinds.ToImmutable();
    }

    /// <summary>True when the fault may legitimately cost one pool its data.</summary>
    public static bool MayResetPool(FaultKind kind) => kind == FaultKind.HostAndWorkerKill;
}
