using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>What must hold when a grant is told, and when nothing is under way any more.</summary>
internal static class QuietRules
{
    /// <summary>Every rank has these extents mapped, and all show the same table.</summary>
    public static void CheckGrant(SimulatedDomain domain, EngineProtocol.PagesAllocated granted)
    {
        // A host may have died after it answered, of which nobody has been told yet: what only it held went with it, and the pool is withdrawn once that is known.
        if (domain.Ranks.Any(rank => !rank.Pools.ContainsKey(granted.Pool) && HasDiedUnnoticed(domain, rank)))
        {
            return;
        }

        var holders = domain.Ranks.Where(r => r.Pools.ContainsKey(granted.Pool)).Select(r => (r.Gpu, IsAway: r.IsDown || r.IsRecovering, Pool: r.Pools[granted.Pool])).ToArray();
        var expected = holders.Length == 0 ? 0 : holders[0].Pool.Replica.Spec.Geometry.Ranks.Length;
        Require(holders.Length == expected && expected > 0, $"{granted} was told when {holders.Length} of {expected} ranks had the pool.");
        var shown = holders.FirstOrDefault(h => !h.IsAway).Pool;
        foreach (var (gpu, isAway, pool) in holders)
        {
            Require(granted.Extents.All(pool.Mapped.Contains), $"{granted.Pool}: {string.Join(", ", granted.Extents)} were told but {gpu} has {string.Join(", ", pool.Mapped)}.");
            Require(isAway || pool.Replica.Table.Digest == shown!.Replica.Table.Digest, $"{granted.Pool}: a grant was told while ranks showed different tables.");
        }
    }

    private static bool HasDiedUnnoticed(SimulatedDomain domain, SimulatedRank rank) =>
        rank.IsDown || domain.Coordinator.Describe().Gpus.Any(known => known.Gpu == rank.Gpu && known.Incarnation != rank.Incarnation);

    /// <summary>Of a lost pool nothing is unmapped where its worker runs, before its engine has closed it.</summary>
    public static void CheckCommand(SimulatedDomain domain, GpuId gpu, RankProtocol.ICommand command)
    {
        foreach (var engine in domain.Engines)
        {
            foreach (var (pool, lost) in engine.Lost)
            {
                var isUnmapped = command switch
                {
                    RankProtocol.CloseRankPool close => close.Pool == pool,
                    RankProtocol.InstallTable install => install.Pool == pool && !lost.Extents.IsSubsetOf(install.Entries.Select(e => e.Extent)),
                    RankProtocol.Decide { Decision: { Kind: not DecisionKind.Map } decision } => decision.Pool == pool && lost.Extents.Overlaps(decision.Extents),
                    _ => false,
                };
                var isRunning = domain.Ranks.Single(r => r.Gpu == gpu) is { IsDown: false } rank && rank.Pools.TryGetValue(pool, out var held) && held.Worker == RankWorker.Attached;
                Require(!isUnmapped || !isRunning, $"{gpu} is told {command}, and the engine of that lost pool still uses it.");
            }
        }
    }

    /// <summary>All parties agree: coordinator, ranks and engines.</summary>
    public static void CheckQuiet(SimulatedDomain domain)
    {
        try
        {
            CheckAgreement(domain);
        }
        catch (BrokenRuleException broken)
        {
            var pools = string.Join(", ", domain.Coordinator.Describe().Pools.Select(p => $"{p.Pool} '{p.Name}' {p.State} at {p.Seq}"));
            var engines = string.Join(", ", domain.Engines.Select(e => $"{e.Name} {e.Session}{(e.Ended is null ? string.Empty : $" ended ({e.Ended})")}, withdrawn: {string.Join(", ", e.Withdrawn.Select(w => $"{w.Key} {w.Value}"))}"));
            throw new BrokenRuleException($"{broken.Message}\nPools: {pools}. Engines: {engines}. Taken over {domain.TakeOverCount} times. Warnings:\n{string.Join('\n', domain.Warnings)}");
        }
    }

    /// <summary>Nothing is left of which an engine might not know. Takes a second or two after a coordinator has moved.</summary>
    public static void CheckConfirmed(SimulatedDomain domain) =>
        Require(domain.Coordinator.UnconfirmedCount == 0, $"{domain.Coordinator.UnconfirmedCount} pools and extents are still asked about.");

    private static void CheckAgreement(SimulatedDomain domain)
    {
        var description = domain.Coordinator.Describe();
        Require(domain.Coordinator.FindImbalance() is null, domain.Coordinator.FindImbalance() ?? string.Empty);
        foreach (var engine in domain.Engines)
        {
            Require(!engine.PendingRequests.Any(), $"{engine.Name} has no answer to {string.Join(", ", engine.PendingRequests)}.");
        }

        foreach (var rank in domain.Ranks)
        {
            var gpu = description.Gpus.Single(g => g.Gpu == rank.Gpu);
            Require(gpu.ReservedBytes == 0, $"{gpu.ReservedBytes} bytes are still reserved on {rank.Gpu}.");
            Require(gpu.UsedBytes == rank.MappedBytes, $"{rank.Gpu} has {rank.MappedBytes} bytes mapped, {gpu.UsedBytes} on its account.");
            Require(gpu.QuarantinedBytes == rank.QuarantinedBytes, $"{rank.Gpu} has {rank.QuarantinedBytes} bytes stuck, {gpu.QuarantinedBytes} on its account.");
            foreach (var (id, held) in rank.Pools)
            {
                var pool = description.Pools.SingleOrDefault(p => p.Pool == id);
                Require(pool is { State: "ready" or "orphaned" }, $"{rank.Gpu} holds {id}, which is {pool?.State ?? "unknown"}.");
                Require(pool!.Digest == held.Replica.Table.Digest.ToString(), $"{rank.Gpu} shows another digest of {id} than the coordinator.");
                Require(held.Mapped.SetEquals(held.Replica.Table.Enumerate()), $"{rank.Gpu} has another layout of {id} mapped than its table says.");
                if (pool.State == "orphaned")
                {
                    continue;
                }

                var owner = domain.Engines.Single(e => e.Session == held.Replica.Owner);
                Require(
                    owner.Held.TryGetValue(id, out var extents) && held.Mapped.SetEquals(extents),
                    $"{owner.Name} holds {string.Join(", ", owner.Held.GetValueOrDefault(id) ?? [])} of {id}, {rank.Gpu} has {string.Join(", ", held.Mapped)} mapped.");
            }
        }

        foreach (var pool in description.Pools)
        {
            Require(pool.Gpus.All(g => domain.Ranks.Single(r => r.Gpu == g).Pools.ContainsKey(pool.Pool)), $"{pool.Pool} is {pool.State} but not on all its ranks.");
        }
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw new BrokenRuleException(problem);
        }
    }
}
