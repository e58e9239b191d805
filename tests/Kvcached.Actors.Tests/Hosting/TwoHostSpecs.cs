using Kvcached.Actors.Engines;
using Kvcached.Actors.Tests.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>As <see cref="TwoHostSpecs"/>, the coordinator reaching the other host by a lane.</summary>
public sealed class TwoHostsByLaneSpecs() : TwoHostSpecs(usesLocalLanes: true);

/// <summary>As <see cref="TwoHostSpecs"/>, everything going by Akka.Remote.</summary>
public sealed class TwoHostsByRemoteSpecs() : TwoHostSpecs(usesLocalLanes: false);

/// <summary>Two hosts and an engine, each with an actor system of its own, over real sockets.</summary>
public abstract class TwoHostSpecs(bool usesLocalLanes) : IAsyncLifetime
{
    private readonly HostPair _hosts = new() { UsesLocalLanes = usesLocalLanes };

    private InProcessHost First => _hosts[0];

    private InProcessHost Second => _hosts[1];

    public Task InitializeAsync() => _hosts.InitializeAsync();

    public Task DisposeAsync() => _hosts.DisposeAsync();

    [Fact]
    public async Task Engine_should_get_the_same_pages_on_both_hosts_and_return_every_one()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using (var client = await EngineClient.ConnectAsync(HostPair.Options("tp2", Second.Address, First.Address), timeout.Token))
        {
            var pool = await OpenAsync(client, "tp2", timeout.Token);
            var grown = await pool.GrowAsync(0, 24, TimeSpan.FromSeconds(30), timeout.Token);
            Assert.Null(grown.Refusal);
            var blocks = new BlockId[24 * (int)(TestPools.PageBytes / TestPools.BlockBytes)];
            Assert.True(pool.TryAllocateBlocks(0, blocks));
            Assert.False(pool.TryAllocateBlocks(0, new BlockId[1]));

            var left = MemoryOf(First, pool.Id);
            var right = MemoryOf(Second, pool.Id);
            Assert.True(left.MappedExtents.ToHashSet().SetEquals(grown.Value));
            Assert.True(right.MappedExtents.ToHashSet().SetEquals(grown.Value));
            foreach (var block in blocks)
            {
                BlockBytes(left, block).Fill((byte)(block.Value + 1));
            }

            Assert.All(blocks, block => Assert.Equal(-1, BlockBytes(left, block).IndexOfAnyExcept((byte)(block.Value + 1))));
            Assert.All(blocks, block => Assert.Equal(-1, BlockBytes(right, block).IndexOfAnyExcept((byte)0)));

            Assert.Null(pool.FreeBlocks(0, blocks));
            var trimmed = await pool.TrimAsync(0, 8, TimeSpan.Zero, timeout.Token);
            Assert.Null(trimmed.Refusal);
            Assert.InRange(trimmed.Value, 1, 16);
            Assert.Equal(24 - trimmed.Value, left.MappedExtents.Sum(e => e.PageCount));
            Assert.True(right.MappedExtents.ToHashSet().SetEquals(left.MappedExtents));
            await pool.DisposeAsync();
            _hosts.AssertEmpty();
        }
    }

    [Fact]
    public async Task Engine_should_get_pages_that_its_workers_map_once_all_of_them_are_attached()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using var client = await EngineClient.ConnectAsync(HostPair.Options("workers", Second.Address, First.Address), timeout.Token);
        var opened = await client.OpenPoolAsync(TestPools.WorkerSpec("workers", TestPools.Gpus(2), 64), timeout.Token);
        Assert.Null(opened.Refusal);
        await using var pool = opened.Value!;
        var left = new FakeWorker(First.State.Workers, 1) { AnswersAtOnce = true };
        var right = new FakeWorker(Second.State.Workers, 1) { AnswersAtOnce = true };
        left.Attach("workers");
        Assert.Equal(RefusalReason.NotAttached, (await pool.GrowAsync(0, 4, TimeSpan.FromSeconds(30), timeout.Token)).Refusal!.Reason);

        right.Attach("workers", rank: 1, r => r with { Device = TestPools.Gpu(1) });
        var grown = await pool.GrowAsync(0, 4, TimeSpan.FromSeconds(30), timeout.Token);
        while (grown.Refusal is { Reason: RefusalReason.NotAttached })
        {
            await Task.Delay(20, timeout.Token);
            grown = await pool.GrowAsync(0, 4, TimeSpan.FromSeconds(30), timeout.Token);
        }

        Assert.Null(grown.Refusal);
        Assert.True(left.Mapped.Keys.ToHashSet().SetEquals(grown.Value));
        Assert.True(right.Mapped.Keys.ToHashSet().SetEquals(grown.Value));
        Assert.Equal(0, First.Memory.Live.MappingCount);
        var trimmed = await pool.TrimAsync(0, 0, TimeSpan.Zero, timeout.Token);
        Assert.Equal(4, trimmed.Value);
        Assert.Empty(left.Mapped);
        Assert.Empty(right.Mapped);
        Assert.Null((await pool.GrowAsync(0, 2, TimeSpan.FromSeconds(30), timeout.Token)).Refusal);
        await pool.DisposeAsync();
        _hosts.AssertEmpty();
        Assert.Empty(left.Mapped);
    }

    [Fact]
    public async Task Engine_that_goes_without_closing_its_pools_should_leave_nothing_once_its_session_is_closed()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using (var client = await EngineClient.ConnectAsync(HostPair.Options("a", First.Address), timeout.Token))
        {
            var pool = await OpenAsync(client, "a", timeout.Token);
            Assert.Null((await pool.GrowAsync(0, 10, TimeSpan.FromSeconds(30), timeout.Token)).Refusal);
        }

        while (First.Pages.Snapshot().Pools.Length + Second.Pages.Snapshot().Pools.Length > 0)
        {
            await Task.Delay(20, timeout.Token);
        }

        _hosts.AssertEmpty();
    }

    [Fact]
    public async Task Pool_should_keep_its_pages_and_grow_on_when_the_host_of_the_coordinator_leaves()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using var client = await EngineClient.ConnectAsync(HostPair.Options("a", Second.Address), timeout.Token);
        var opened = await client.OpenPoolAsync(TestPools.Spec("a", [TestPools.Gpu(1)]), timeout.Token);
        Assert.True(opened.IsGranted, opened.Refusal?.ToString());
        var pool = opened.Value!;
        var before = await pool.GrowAsync(0, 4, TimeSpan.FromSeconds(30), timeout.Token);
        var blocks = new BlockId[4];
        Assert.True(pool.TryAllocateBlocks(0, blocks));
        BlockBytes(MemoryOf(Second, pool.Id), blocks[0]).Fill(0xA5);

        await First.DisposeAsync();
        var after = await pool.GrowAsync(0, 3, TimeSpan.FromSeconds(60), timeout.Token);

        Assert.Null(after.Refusal);
        Assert.Null(pool.Withdrawn);
        Assert.True(MemoryOf(Second, pool.Id).MappedExtents.ToHashSet().SetEquals(before.Value.Concat(after.Value)));
        Assert.Equal(-1, BlockBytes(MemoryOf(Second, pool.Id), blocks[0]).IndexOfAnyExcept((byte)0xA5));
        Assert.True(before.Value.Max(e => e.Generation) < after.Value.Min(e => e.Generation));
    }

    [Fact]
    public async Task Refusals_should_come_back_typed_over_the_wire()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using var client = await EngineClient.ConnectAsync(HostPair.Options("a", First.Address), timeout.Token);
        var pool = await OpenAsync(client, "a", timeout.Token);

        Assert.Equal(RefusalReason.InvalidCount, (await pool.GrowAsync(0, -1, TimeSpan.FromSeconds(5), timeout.Token)).Refusal!.Reason);
        Assert.Equal(RefusalReason.InvalidCount, (await pool.GrowAsync(7, 1, TimeSpan.FromSeconds(5), timeout.Token)).Refusal!.Reason);
        Assert.Equal(RefusalReason.LimitExceeded, (await pool.GrowAsync(0, 400, TimeSpan.FromSeconds(5), timeout.Token)).Refusal!.Reason);
        Assert.Equal(RefusalReason.UnknownGpu, (await client.OpenPoolAsync(TestPools.Spec("b", TestPools.Gpus(3)), timeout.Token)).Refusal!.Reason);
        var granted = await pool.GrowAsync(0, 256, TimeSpan.FromSeconds(30), timeout.Token);
        Assert.Null(granted.Refusal);
    }

    [Fact]
    public async Task Engine_should_be_refused_by_a_domain_of_another_name()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));

        var failure = await Assert.ThrowsAsync<EngineConnectException>(() => EngineClient.ConnectAsync(HostPair.Options("a", First.Address) with { Domain = "other" }, timeout.Token));

        Assert.Contains("UnknownDomain", failure.Message, StringComparison.Ordinal);
    }

    private static async Task<IEnginePool> OpenAsync(IEngineClient client, string name, CancellationToken cancellation)
    {
        var opened = await client.OpenPoolAsync(TestPools.Spec(name, TestPools.Gpus(2), virtualPages: 512), cancellation);
        Assert.True(opened.IsGranted, opened.Refusal?.ToString());
        return opened.Value!;
    }

    private static RankPool MemoryOf(InProcessHost host, PoolId pool)
    {
        Assert.True(host.Pages.TryGet(pool, out var memory));
        return memory!;
    }

    private static Span<byte> BlockBytes(RankPool memory, BlockId block)
    {
        Assert.True(memory.TryGetHostSpan(block.Value * TestPools.BlockBytes, (int)TestPools.BlockBytes, out var bytes));
        return bytes;
    }
}
