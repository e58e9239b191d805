using System.Collections.Immutable;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>
/// Four hosts that a network splits: one side at most goes on, no pool with a rank on the other side is granted anything, and after the split is healed all
/// ranks have one table.
/// </summary>
public sealed class SplitSpecs
{
    private const string LeaseMajority = "lease-majority";
    private const string KeepMajority = "keep-majority";

    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(3);

    // On one machine the side that gets the lock goes on, whatever its size.
    [Fact]
    public Task Halves_of_four_hosts_with_a_lock() => SplitAsync(LeaseMajority, [0, 1], mayWin: [0, 2]);

    [Fact]
    public Task Three_of_four_hosts_by_majority() => SplitAsync(KeepMajority, [0, 1, 2], mayWin: [0]);

    [Fact]
    [Trait("Category", "Long")]
    public Task Three_of_four_hosts_with_a_lock() => SplitAsync(LeaseMajority, [0, 1, 2], mayWin: [0, 3]);

    // The coordinator's host alone on its side: it must step down, though it is the oldest.
    [Fact]
    [Trait("Category", "Long")]
    public Task Coordinator_alone_by_majority() => SplitAsync(KeepMajority, [1, 2, 3], mayWin: [1]);

    // Equal halves are decided by the lowest address.
    [Fact]
    [Trait("Category", "Long")]
    public Task Halves_of_four_hosts_by_majority() => SplitAsync(KeepMajority, [0, 1], mayWin: [0, 2]);

    private static async Task SplitAsync(string strategy, ImmutableArray<int> side, ImmutableArray<int> mayWin)
    {
        using var timeout = new CancellationTokenSource(HostGroup.Patience);
        await using var group = await HostGroup.StartAsync(4, strategy, timeout.Token);
        ImmutableArray<int> otherSide = [.. Enumerable.Range(0, 4).Except(side)];
        var engine = new LocalEngine("split");
        engine.Use(group.Hosts[0]);
        var all = await OpenAsync(engine, TestPools.WorkerSpec("all", TestPools.Gpus(4), 64));
        var workers = group.AttachWorkers("all");
        ImmutableArray<Extent> held = await GrowAsync(engine, all, 3, timeout.Token);
        var near = await OpenAsync(engine, TestPools.Spec("near", [.. side.Select(TestPools.Gpu)], 64));
        var far = await OpenAsync(engine, TestPools.Spec("far", [.. otherSide.Select(TestPools.Gpu)], 64));
        Assert.Equal([0], (await group.FindCoordinatorsAsync()).AsEnumerable());
        var epochBefore = (await group.DescribeAsync(0, timeout.Token)).Epoch;

        await group.SetCutAsync(side, isCut: true);
        var (winners, losers) = await DecideAsync(group, engine, all, side, otherSide, timeout.Token);
        Assert.Contains(winners[0], mayWin);

        // The side that goes on has one coordinator; it grants to pools of its own hosts, and to no other.
        Assert.True((await group.FindCoordinatorsAsync()) is [var coordinator] && winners.Contains(coordinator));
        engine.Use(group.Hosts[winners[0]]);
        Assert.NotEmpty(await GrowAsync(engine, winners[0] == side[0] ? near : far, 2, timeout.Token));
        await IsRefusedAsync(engine, all);
        await IsRefusedAsync(engine, winners[0] == side[0] ? far : near);
        Assert.All(workers, worker => Assert.True(worker.MappedNow().ToHashSet().SetEquals(held)));

        await group.SetCutAsync(side, isCut: false);
        await group.RestartAsync(losers, winners[0]);
        await group.Hosts[losers[0]].WaitForHostsAsync(4, timeout.Token);
        ImmutableArray<Extent> grown = [.. held, .. await GrowAsync(engine, all, 2, timeout.Token)];
        var domain = await group.DescribeAsync(losers[0], timeout.Token);
        var pool = Assert.Single(domain.Pools, p => p.Name == "all");
        Assert.All(workers, worker => Assert.Equal(pool.Digest, DigestOf(worker.MappedNow())));
        Assert.Equal(pool.Digest, DigestOf(grown));
        Assert.Single(await group.FindCoordinatorsAsync());
        Assert.True(domain.Epoch >= epochBefore);
    }

    /// <summary>Asks for pages by both sides until one of them has ended; nobody is granted any meanwhile.</summary>
    private static async Task<(ImmutableArray<int> Winners, ImmutableArray<int> Losers)> DecideAsync(
        HostGroup group, LocalEngine engine, PoolId pool, ImmutableArray<int> side, ImmutableArray<int> otherSide, CancellationToken cancellation)
    {
        for (var turn = 0; ; turn++)
        {
            foreach (var (ending, other) in new[] { (side, otherSide), (otherSide, side) })
            {
                if (ending.All(host => group.Hosts[host].System.WhenTerminated.IsCompleted))
                {
                    Assert.All(other, host => Assert.False(group.Hosts[host].System.WhenTerminated.IsCompleted));
                    return (other, ending);
                }
            }

            cancellation.ThrowIfCancellationRequested();
            ImmutableArray<int> alive = [.. (turn % 2 == 0 ? side : otherSide).Where(host => !group.Hosts[host].System.WhenTerminated.IsCompleted)];
            if (!alive.IsEmpty && engine.TryUse(group.Hosts[alive[0]]))
            {
                await IsRefusedAsync(engine, pool);
            }
        }
    }

    /// <summary>A refusal, or no answer in a while.</summary>
    private static async Task IsRefusedAsync(LocalEngine engine, PoolId pool)
    {
        var reply = await engine.AskAsync(id => Grow(engine, id, pool, 1, Moment), 2 * Moment);
        Assert.True(reply is null or EngineProtocol.RequestRefused, $"{reply} for a pool with a rank that can't be reached.");
    }

    private static async Task<PoolId> OpenAsync(LocalEngine engine, PoolSpec spec)
    {
        var reply = await engine.AskAsync(id => new EngineProtocol.OpenPool(engine.Session, id, default, spec), HostGroup.Patience);
        return Assert.IsType<EngineProtocol.PoolOpened>(reply).Pool;
    }

    /// <summary>Asks until it is granted: workers attach, and hosts come back, when they do.</summary>
    private static async Task<ImmutableArray<Extent>> GrowAsync(LocalEngine engine, PoolId pool, int pages, CancellationToken cancellation)
    {
        EngineProtocol.IReply? reply = null;
        while (reply is not EngineProtocol.PagesAllocated)
        {
            Assert.False(cancellation.IsCancellationRequested, $"{pool} never got its pages; the last answer: {reply}");
            reply = await engine.AskAsync(id => Grow(engine, id, pool, pages, 2 * Moment), 3 * Moment);
        }

        return ((EngineProtocol.PagesAllocated)reply).Extents;
    }

    private static EngineProtocol.AllocatePages Grow(LocalEngine engine, RequestId id, PoolId pool, int pages, TimeSpan deadline) =>
        new(engine.Session, id, default, pool, 0, pages, deadline);

    private static string DigestOf(IEnumerable<Extent> extents) => RankRig.DigestOf([.. extents]).ToString();
}
