using System.Globalization;
using System.Text;
using CsCheck;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>
/// Random schedules of requests, delays, losses, doubles, refusals, stuck extents, restarts and new coordinators. The simulation checks its
/// rules after each message; in the end, when all works again, everybody must agree, everything be answered, and everything come back.
/// </summary>
public class RandomScheduleTests
{
    private const int EngineCount = 3;

    /// <summary>Schedules per run; more of them for a night by <c>KVCACHED_SCHEDULES</c>.</summary>
    private static readonly int ScheduleCount =
        int.TryParse(Environment.GetEnvironmentVariable("KVCACHED_SCHEDULES"), CultureInfo.InvariantCulture, out var count) ? count : 5_000;

    private enum Act
    {
        Grow,
        Free,
        Deliver,
        Lose,
        Double,
        Hold,
        Pass,
        RefuseMaps,
        Stick,
        WrongDigest,
        ReportWarm,
        Mute,
        Reopen,
        Unreachable,
        TakeOver,
        RestartRank,
        AttachWorkers,
        LoseWorker,
        RestartEngine,
        TakeOverPool,
        RefuseThenTakeOver,
        KillHost,
        ReviveHost,
        RecoverHost,
        EndKeeper,
        KillHostAndCoordinator,
        NeverCloses,
    }

    private static readonly Gen<(Act Act, int A, int B)> AnyStep = Gen.Frequency(
        (8, Gen.Const(Act.Grow)), (6, Gen.Const(Act.Free)), (30, Gen.Const(Act.Deliver)), (3, Gen.Const(Act.Lose)), (3, Gen.Const(Act.Double)),
        (4, Gen.Const(Act.Hold)), (6, Gen.Const(Act.Pass)), (2, Gen.Const(Act.RefuseMaps)), (2, Gen.Const(Act.Stick)), (1, Gen.Const(Act.WrongDigest)),
        (3, Gen.Const(Act.ReportWarm)), (1, Gen.Const(Act.Mute)), (1, Gen.Const(Act.Reopen)), (1, Gen.Const(Act.Unreachable)), (1, Gen.Const(Act.TakeOver)),
        (1, Gen.Const(Act.RestartRank)), (4, Gen.Const(Act.AttachWorkers)), (2, Gen.Const(Act.LoseWorker)), (1, Gen.Const(Act.RestartEngine)),
        (2, Gen.Const(Act.TakeOverPool)), (1, Gen.Const(Act.RefuseThenTakeOver)),
        (3, Gen.Const(Act.KillHost)), (4, Gen.Const(Act.ReviveHost)), (4, Gen.Const(Act.RecoverHost)), (1, Gen.Const(Act.EndKeeper)),
        (1, Gen.Const(Act.KillHostAndCoordinator)), (1, Gen.Const(Act.NeverCloses)))
        .SelectMany(act => Gen.Select(Gen.Const(act), Gen.Int[0, 999], Gen.Int[0, 999]));

    private static readonly Gen<(int Ranks, (Act Act, int A, int B)[] Steps)> AnySchedule = Gen.Select(Gen.Int[1, 3], AnyStep.Array[1, 60]);

    [Fact]
    public void Any_schedule_should_keep_every_rule_and_end_in_agreement() =>
        AnySchedule.Sample(schedule => Run(schedule.Ranks, schedule.Steps), iter: ScheduleCount, threads: 2, print: Print);

    private static void Run(int rankCount, (Act Act, int A, int B)[] steps)
    {
        var windows = TimeSpan.FromSeconds(8);
        var domain = new SimulatedDomain(
            rankCount, capacityPages: 24, new CoordinatorSettings
            {
                Domain = SimulatedDomain.Name, ReopenWindow = windows, ReattachWindow = windows, HostReturnWindow = windows, QuiesceWindow = windows / 2,

                // So that extents have several pages now and then, though memory is so small.
                ExtentShareDivisor = 4,
            });
        for (var i = 0; i < EngineCount; i++)
        {
            Open(domain, domain.AddEngine($"e{i}"), i);
        }

        foreach (var step in steps)
        {
            Take(domain, step.Act, step.A, step.B);
        }

        domain.Heal();
        foreach (var rank in domain.Ranks)
        {
            domain.Coordinator.RankReachable(domain.Now, rank.Gpu, rank.Incarnation, true);
        }

        domain.Settle();
        domain.Advance(25, coarse: true);
        QuietRules.CheckQuiet(domain);
        QuietRules.CheckConfirmed(domain);

        // A rank that restarts takes its pools with it; what is left must still work, and go.
        foreach (var engine in domain.Engines)
        {
            foreach (var (pool, held) in engine.Held.ToArray())
            {
                if (held.Count > 0)
                {
                    engine.Free(pool, [.. held]);
                }

                domain.Settle();
                var request = engine.Grow(pool, 1);
                domain.Advance(3, coarse: true);
                Assert.True(engine.Answers[request] is EngineProtocol.PagesAllocated or EngineProtocol.RequestRefused, $"{engine.Answers[request]}");
                QuietRules.CheckQuiet(domain);
                engine.Close(pool);
            }
        }

        domain.Advance(3, coarse: true);
        Assert.All(domain.Ranks, r => Assert.Empty(r.Pools));
        Assert.All(domain.Coordinator.Describe().Gpus, g => Assert.Equal(g.CapacityBytes, g.FreeBytes));
        Assert.Empty(domain.Coordinator.Describe().Pools);
    }

    private static void Take(SimulatedDomain domain, Act act, int a, int b)
    {
        var engine = domain.Engines[a % EngineCount];
        if (engine.Ended is not null)
        {
            engine.Restart();
        }

        var rank = domain.Ranks[a % domain.Ranks.Count];
        var links = domain.Links.ToArray();
        var link = links[a % links.Length];
        switch (act)
        {
            case Act.Grow when Pick(engine.Held, b) is { Value: not null } pool:
                engine.Grow(pool.Key, 1 + (b % 9), 0.5 + (b % 5));
                break;
            case Act.Free when Pick(engine.Held, b) is { Value.Count: > 0 } pool:
                engine.Free(pool.Key, [.. pool.Value.OrderBy(e => e.Generation).Take(1 + (b % 3))]);
                break;
            case Act.Deliver:
                for (var i = 0; i < 1 + (b % 8) && links.Where(l => l.CanDeliver).ToArray() is { Length: > 0 } ready; i++)
                {
                    domain.Deliver(ready[(a + i) % ready.Length]);
                }

                break;
            case Act.Lose:
                link.LosesNext += 1 + (b % 3);
                break;
            case Act.Double:
                link.DoublesNext += 1 + (b % 3);
                break;
            case Act.Hold:
                link.IsHeld = !link.IsHeld;
                break;
            case Act.Pass:
                domain.Advance(0.02 + (b % 7 * 0.15));
                break;
            case Act.RefuseMaps:
                rank.RefusesMaps = 1 + (b % 2);
                break;
            case Act.Stick:
                rank.SticksOn = 1 + (b % 3);
                rank.StaysStuck = b % 2 == 0;
                break;
            case Act.WrongDigest:
                rank.ShowsWrongDigests = 1;
                break;
            case Act.ReportWarm when Pick(engine.Held, b) is { Value.Count: > 0 } pool:
                engine.ReportWarm(pool.Key, b, pool.Value.OrderBy(e => e.Generation).Take(1 + (b % 4)));
                break;
            case Act.Mute:
                engine.GivesUp = b % 3 == 0 ? null : e => e.First.Value % 2 == b % 2;
                break;
            case Act.Reopen:
                Open(domain, engine, b);
                break;
            case Act.Unreachable:
                domain.Coordinator.RankReachable(domain.Now, rank.Gpu, rank.Incarnation, b % 2 == 0);
                break;
            case Act.TakeOver:
                domain.TakeOver();
                break;
            case Act.RefuseThenTakeOver when Pick(engine.Held, b) is { Value: not null } pool:
                RefuseThenTakeOver(domain, engine, pool.Key, b);
                break;
            case Act.KillHost when !rank.IsDown:
                domain.KillHost(a % domain.Ranks.Count, isNoticed: b % 2 == 0);
                break;
            case Act.KillHostAndCoordinator when !rank.IsDown:
                domain.KillHost(a % domain.Ranks.Count, isNoticed: false);
                domain.TakeOver();
                break;
            case Act.ReviveHost when rank.IsDown:
                domain.ReviveHost(a % domain.Ranks.Count);
                break;
            case Act.RecoverHost when rank.IsRecovering:
                domain.RecoverHost(a % domain.Ranks.Count);
                break;
            case Act.EndKeeper when Pick(rank.Pools, b) is { Value: not null } kept:
                rank.EndKeeper(kept.Key);
                break;
            case Act.NeverCloses:
                engine.ClosesLost = b % 2 == 0;
                break;
            case Act.RestartRank when b % 4 == 0:
                domain.RestartRank(a % domain.Ranks.Count);
                break;
            case Act.AttachWorkers:
                foreach (var (index, pool) in WorkerPools(domain))
                {
                    domain.SetWorker(index, pool, RankWorker.Attached);
                }

                break;
            case Act.LoseWorker when WorkerPools(domain) is { Length: > 0 } attached:
                domain.SetWorker(attached[a % attached.Length].Rank, attached[a % attached.Length].Pool, RankWorker.Gone, isAlive: b % 2 == 0);
                break;
            case Act.RestartEngine when b % 3 == 0:
                // Nobody is cut off for a whole lease: the cluster has removed such a node by then.
                foreach (var each in links)
                {
                    each.IsHeld = false;
                }

                engine.Restart();
                domain.Advance(15.1, coarse: true);
                break;
            case Act.TakeOverPool when domain.Coordinator.Describe().Pools.FirstOrDefault(p => p.State == "orphaned") is { } orphan
                && rank.Pools.TryGetValue(orphan.Pool, out var left):
                engine.Open(left.Replica.Spec);
                break;
        }
    }

    /// <summary>
    /// A coordinator answers what its ranks haven't carried out, and moves: a map that is refused but not undone, a return that is answered but whose
    /// turn hasn't come. Left to chance, some ten thousand schedules have it once.
    /// </summary>
    private static void RefuseThenTakeOver(SimulatedDomain domain, SimulatedEngine engine, PoolId pool, int choice)
    {
        domain.Settle();
        if (choice % 3 == 0 && engine.Held.TryGetValue(pool, out var held) && held.Count > 0)
        {
            HoldRanks(domain, down: true);
            engine.Free(pool, [.. held.OrderBy(e => e.Generation).Take(1 + (choice % 2))]);
            domain.Advance(2.1 + (choice % 2 * 9));
        }
        else
        {
            HoldRanks(domain, down: false);
            engine.Grow(pool, 1 + (choice % 3), 0.2);
            domain.Advance(0.3 + (choice % 2 * 2));
        }

        foreach (var link in domain.Links)
        {
            link.IsHeld = false;
        }

        domain.TakeOver();
    }

    private static void HoldRanks(SimulatedDomain domain, bool down)
    {
        for (var rank = 0; rank < domain.Ranks.Count; rank++)
        {
            (down ? domain.ToRank(rank) : domain.FromRank(rank)).IsHeld = true;
        }
    }

    private static (int Rank, PoolId Pool)[] WorkerPools(SimulatedDomain domain) =>
        [.. domain.Ranks.SelectMany((rank, index) => rank.Pools.Where(p => p.Value.NeedsWorker && !rank.IsDown && !rank.IsRecovering).Select(p => (index, p.Key)))];

    /// <summary>Pools over all ranks, or over some: they overlap on GPUs.</summary>
    private static void Open(SimulatedDomain domain, SimulatedEngine engine, int choice)
    {
        var gpus = TestPools.Gpus(domain.Ranks.Count);
        var first = choice % gpus.Length;
        engine.Open(TestPools.Spec(
            $"{engine.Name}-{choice % 2}", choice % 3 == 0 ? gpus : gpus[first..], virtualPages: 32, limitBytes: choice % 4 == 1 ? 16 * TestPools.PageBytes : 0,
            floorBytes: choice % 4 == 2 ? 4 * TestPools.PageBytes : 0) with { Target = choice % 5 < 3 ? PoolTarget.Worker : PoolTarget.Host });
        domain.Settle();
    }

    private static KeyValuePair<PoolId, T> Pick<T>(Dictionary<PoolId, T> held, int index) =>
        held.Count == 0 ? default : held.OrderBy(h => h.Key).ElementAt(index % held.Count);

    private static string Print((int Ranks, (Act Act, int A, int B)[] Steps) schedule)
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{schedule.Ranks} ranks:");
        foreach (var (act, a, b) in schedule.Steps)
        {
            text.Append(CultureInfo.InvariantCulture, $" {act}({a},{b})");
        }

        return text.ToString();
    }
}
