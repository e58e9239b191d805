using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;

namespace Kvcached.Copier.Tests.Client;

/// <summary>Two processes, two mappings of the same memory.</summary>
public sealed class CopierClientTests
{
    private static readonly Extent Pages = new(0, new PageId(4), 2, 1);
    private static readonly CopierClientOptions Options = new() { Backend = CopierBackend.Host, Gpu = TestPool.Gpu };

    [Theory]
    [InlineData(KvLayout.Contiguous)]
    [InlineData(KvLayout.Grouped)]
    [InlineData(KvLayout.PerLayer)]
    public async Task Stamp_ThroughTheCopier_IsReadHere(KvLayout layout)
    {
        using var pool = new TestPool(TestPool.GeometryOf(layout));
        await using var client = await StartAsync();
        Assert.Null(await client.AttachAsync(pool.Id, pool.Geometry, 0));
        foreach (var extent in new[] { Pages, new Extent(1, new PageId(2), 1, 2) })
        {
            Assert.Null(await client.MapAsync(pool.Id, extent, pool.Lend(extent)));
            var stamps = pool.StampsOf(extent, version: 5);
            Assert.Null(await client.StampAsync(pool.Id, extent.Group, stamps));

            var (words, mismatches) = pool.VerifyHere(extent.Group, stamps);
            Assert.Equal(0, mismatches);
            Assert.True(words > stamps.Length);
            Assert.Equal(new VerifyReport(stamps.Length, 0, words, []), await VerifyAsync(client, pool.Id, extent.Group, stamps), Reports.Equal);
            var older = stamps.Select(s => s with { Version = 4 }).ToImmutableArray();
            Assert.Equal(stamps.Length, (await VerifyAsync(client, pool.Id, extent.Group, older)).MismatchingBlockCount);
        }
    }

    [Fact]
    public async Task Verify_BlockCorruptedHere_IsFoundWithItsPlace()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.Grouped));
        await using var client = await StartAsync();
        var stamps = await StampedAsync(client, pool, Pages);
        var victim = stamps.First(s => s.Whole);
        pool.BytesOf(0, victim.Block, 2, 1)[8 * 700] ^= 1;

        var report = await VerifyAsync(client, pool.Id, 0, stamps);

        var found = Assert.Single(report.Mismatches);
        Assert.Equal((victim.Block, 1L, 2, 1, 700L), (found.Block, found.MismatchCount, found.Layer, found.Buffer, found.First.WordIndex));
        Assert.Equal(1UL, found.First.Expected ^ found.First.Found);
        Assert.Equal(1, report.MismatchingBlockCount);
    }

    [Fact]
    public async Task Verify_BlocksExchangedHere_AreBothFound()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.PerLayer));
        await using var client = await StartAsync();
        var stamps = await StampedAsync(client, pool, Pages);
        var (one, other) = (stamps[0].Block, stamps[3].Block);
        for (var layer = 0; layer < 3; layer++)
        {
            for (var buffer = 0; buffer < 2; buffer++)
            {
                var saved = pool.BytesOf(0, one, layer, buffer).ToArray();
                pool.BytesOf(0, other, layer, buffer).CopyTo(pool.BytesOf(0, one, layer, buffer));
                saved.CopyTo(pool.BytesOf(0, other, layer, buffer));
            }
        }

        Assert.Equal([one, other], (await VerifyAsync(client, pool.Id, 0, stamps)).Mismatches.Select(m => m.Block));
    }

    [Fact]
    public async Task Verify_MemoryOfAnotherPoolOrRank_NeverMatches()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.Contiguous));
        await using var client = await StartAsync();
        var stamps = await StampedAsync(client, pool, Pages);
        var twoRanks = pool.Geometry with { Ranks = [pool.Geometry.Ranks[0] with { Gpu = GpuId.Parse("HOST-1") }, pool.Geometry.Ranks[0]] };
        foreach (var (id, rank) in new[] { (new PoolId(2), 0), (new PoolId(3), 1) })
        {
            Assert.Null(await client.AttachAsync(id, rank == 0 ? pool.Geometry : twoRanks, rank));
            Assert.Null(await client.MapAsync(id, Pages, pool.Lent(Pages)));
            Assert.Equal(stamps.Length, (await VerifyAsync(client, id, 0, stamps)).MismatchingBlockCount);
        }
    }

    [Fact]
    public async Task Checksum_OfAnExtent_IsWhatThisProcessComputes()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.PerLayer));
        await using var client = await StartAsync();
        await StampedAsync(client, pool, Pages);
        var expected = default(ExtentChecksum);
        long words = 0;
        foreach (var unit in pool.Layout.UnitsOf(0))
        {
            expected = expected.With(pool.BytesOf(unit, Pages), words);
            words += unit.BytesOf(Pages) / 8;
        }

        Assert.Equal(expected, (await client.ChecksumAsync(pool.Id, Pages)).Value!.Checksum);
        pool.BytesOf(pool.Layout.UnitsOf(0)[3], Pages)[^1] ^= 128;
        Assert.NotEqual(expected, (await client.ChecksumAsync(pool.Id, Pages)).Value!.Checksum);
    }

    [Fact]
    public async Task Map_MoreUnitsThanOneMessageTakes_ThenDrop_LeavesNothing()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.PerLayer, layers: 150));
        await using var client = await StartAsync();
        Assert.Null(await client.AttachAsync(pool.Id, pool.Geometry, 0));
        var descriptors = ProcessFacts.CountDescriptors(client.ProcessId);
        Assert.Equal(0, ProcessFacts.CountLentMappings(client.ProcessId));
        var lent = pool.Lend(Pages);
        Assert.Equal(300, lent.Count);

        Assert.Null(await client.MapAsync(pool.Id, Pages, lent));
        Assert.Equal(300, ProcessFacts.CountLentMappings(client.ProcessId));
        var stamps = pool.StampsOf(Pages, 1);
        Assert.Null(await client.StampAsync(pool.Id, 0, stamps));
        Assert.Equal(0, pool.VerifyHere(0, stamps).Mismatches);

        Assert.Null(await client.DropAsync(pool.Id, Pages));
        Assert.Equal(0, ProcessFacts.CountLentMappings(client.ProcessId));
        Assert.Equal(descriptors, ProcessFacts.CountDescriptors(client.ProcessId));
        Assert.Equal(CopierRefusal.BlockNotMapped, Assert.IsType<CopierRefused>(await client.StampAsync(pool.Id, 0, stamps)).Reason);
        Assert.Null(await client.MapAsync(pool.Id, Pages with { Generation = 2 }, lent));
        Assert.True((await VerifyAsync(client, pool.Id, 0, stamps)).IsClean);
        Assert.Null(await client.DetachAsync(pool.Id));
        Assert.Equal(0, ProcessFacts.CountLentMappings(client.ProcessId));
        Assert.Equal(descriptors, ProcessFacts.CountDescriptors(client.ProcessId));
    }

    [Fact]
    public async Task Calls_ManyAtOnce_AllGetTheirOwnAnswer()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.Contiguous));
        await using var client = await StartAsync();
        var stamps = await StampedAsync(client, pool, Pages);
        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i =>
            client.VerifyAsync(pool.Id, 0, [stamps[i % stamps.Length] with { Version = (uint)(i % 2) + 1 }])));
        Assert.All(answers.Index(), a => Assert.Equal(a.Index % 2 == 0, a.Item.Value!.IsClean));
    }

    [Fact]
    public async Task Stamp_LongerThanOneRequest_IsSplit()
    {
        var geometry = new PoolGeometry(
            KvLayout.Contiguous, 0, [64], [new RankShape(TestPool.Gpu, [new KvGroupShape("small", KvGroupKind.State, 0, 1, 1, 64, TestPool.PageBytes)])]);
        using var pool = new TestPool(geometry);
        await using var client = await StartAsync();
        var all = new Extent(0, new PageId(0), 6, 1);
        var stamps = await StampedAsync(client, pool, all);
        Assert.Equal(16_384, stamps.Length);
        Assert.Equal(0, pool.VerifyHere(0, stamps).Mismatches);
        pool.BytesOf(0, stamps[^1].Block, 0, 0)[0] ^= 1;
        var report = await VerifyAsync(client, pool.Id, 0, stamps);
        Assert.Equal((16_384, 1, stamps[^1].Block), (report.BlockCount, report.MismatchingBlockCount, report.Mismatches[0].Block));
    }

    [Fact]
    public async Task Calls_ThatMakeNoSense_AreRefusedHere()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.Contiguous));
        await using var client = await StartAsync();
        Assert.IsType<CopierCallInvalid>(await client.AttachAsync(pool.Id, pool.Geometry, 1));
        Assert.IsType<CopierCallInvalid>(await client.AttachAsync(pool.Id, pool.Geometry with { VirtualPageCounts = [] }, 0));
        Assert.Null(await client.AttachAsync(pool.Id, pool.Geometry, 0));
        Assert.IsType<CopierCallInvalid>(await client.MapAsync(pool.Id, Pages, []));
        var closed = File.OpenHandle(typeof(CopierClientTests).Assembly.Location);
        closed.Dispose();
        Assert.IsType<CopierCallInvalid>(await client.MapAsync(pool.Id, Pages, [closed]));
        Assert.Null(await client.MapAsync(pool.Id, Pages, pool.Lend(Pages)));
    }

    private static async Task<ImmutableArray<BlockStamp>> StampedAsync(CopierClient client, TestPool pool, Extent extent)
    {
        var stamps = pool.StampsOf(extent, version: 1);
        Assert.Null(await client.AttachAsync(pool.Id, pool.Geometry, 0));
        Assert.Null(await client.MapAsync(pool.Id, extent, pool.Lend(extent)));
        Assert.Null(await client.StampAsync(pool.Id, extent.Group, stamps));
        Assert.True((await VerifyAsync(client, pool.Id, extent.Group, stamps)).IsClean);
        return stamps;
    }

    private static async Task<VerifyReport> VerifyAsync(CopierClient client, PoolId pool, int group, ImmutableArray<BlockStamp> stamps)
    {
        var result = await client.VerifyAsync(pool, group, stamps);
        Assert.True(result.IsOk, result.Failure?.Message);
        return result.Value;
    }

    private static async Task<CopierClient> StartAsync()
    {
        var started = await CopierClient.StartAsync(Options);
        Assert.True(started.IsOk, started.Failure?.Message);
        return started.Value;
    }

    private static class Reports
    {
        public static bool Equal(VerifyReport one, VerifyReport other) =>
            (one.BlockCount, one.MismatchingBlockCount, one.WordCount) == (other.BlockCount, other.MismatchingBlockCount, other.WordCount)
            && one.Mismatches.SequenceEqual(other.Mismatches);
    }
}
