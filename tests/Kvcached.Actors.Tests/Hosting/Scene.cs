using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Actors.Tests.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>An engine with one pool on two hosts, which its workers map or the hosts, and how it is compared. At the end nothing may be left.</summary>
internal sealed class Scene : IAsyncDisposable
{
    // Two layers that are mapped one by one, so that half of an extent can fail.
    private const int Layers = 2;

    private readonly HostPair _hosts;
    private readonly PoolTarget _target;
    private readonly IEngineClient _client;
    private readonly CancellationTokenSource _timeout = new(HostPair.Patience);
    private IEnginePool? _pool;

    private Scene(HostPair hosts, PoolTarget target, IEngineClient client)
    {
        _hosts = hosts;
        _target = target;
        _client = client;
    }

    /// <summary>By rank; none where hosts map.</summary>
    public ImmutableArray<FakeWorker> Workers { get; private set; } = [];

    public static async Task<Scene> StartAsync(HostPair hosts, PoolTarget target) => new(hosts, target, await hosts.ConnectAsync());

    /// <summary>Opens the pool and attaches its workers; the refusal when that fails.</summary>
    public async Task<Refusal?> TryOpenAsync(int floorPages = 0)
    {
        ImmutableArray<RankShape> ranks = [.. TestPools.Gpus(2).Select(gpu => TestPools.Rank(gpu, Layers))];
        var opened = await _client.OpenPoolAsync(
            new PoolSpec("scene", new PoolGeometry(KvLayout.PerLayer, 0, [64], ranks), _target, 0, floorPages * Layers * TestPools.PageBytes, 1), _timeout.Token);
        if (opened.Refusal is not null)
        {
            return opened.Refusal;
        }

        _pool = opened.Value;
        if (_target == PoolTarget.Worker)
        {
            Workers = [.. Enumerable.Range(0, 2).Select(rank => new FakeWorker(_hosts[rank].State.Workers, 1) { AnswersAtOnce = true })];
            for (var rank = 0; rank < 2; rank++)
            {
                var gpu = TestPools.Gpu(rank);
                Workers[rank].Attach("scene", rank, request => request with { Device = gpu });
            }
        }

        return null;
    }

    /// <summary>Asks for pages once all workers are there; null when they were granted.</summary>
    public async Task<Refusal?> TryGrowAsync(int pages) => (await AskAsync(pages)).Refusal;

    public async Task<ImmutableArray<Extent>> GrowAsync(int pages)
    {
        var grown = await AskAsync(pages);
        Assert.Null(grown.Refusal);
        return grown.Value;
    }

    /// <summary>Gives back everything.</summary>
    public async Task TrimAsync() => Assert.Null((await _pool!.TrimAsync(0, 0, TimeSpan.Zero, _timeout.Token)).Refusal);

    public async Task CloseAsync()
    {
        if (_pool is not null)
        {
            await _pool.DisposeAsync();
            _pool = null;
        }
    }

    /// <summary>What the coordinator has in its table, by what the first rank has mapped.</summary>
    public async Task<ImmutableArray<Extent>> HeldAsync()
    {
        var mapped = MappedOn(0);
        await AgreeAsync(mapped);
        return mapped;
    }

    /// <summary>
    /// Returns once both ranks have exactly these extents mapped, the coordinator has their digest, and nothing is under way. Only the rank that is named may have
    /// something in quarantine, and it must.
    /// </summary>
    public async Task AgreeAsync(ImmutableArray<Extent> expected, int? quarantinedOn = null)
    {
        var digest = DigestOf(expected);
        while (true)
        {
            var domain = await _hosts.DescribeAsync(_timeout.Token);
            var pool = Assert.Single(domain.Pools);
            var isSettled = domain.Gpus.Select((gpu, rank) => gpu.ReservedBytes == 0 && gpu.QuarantinedBytes > 0 == (rank == quarantinedOn)).All(isSo => isSo);
            if (isSettled && pool.State == "ready" && pool.Digest == digest && Enumerable.Range(0, 2).All(rank => DigestOf(MappedOn(rank)) == digest))
            {
                Assert.Equal(0, domain.Counters.DigestMismatches);
                return;
            }

            Assert.False(_timeout.IsCancellationRequested, $"Never agreed on {string.Join(", ", expected)}: {domain}");
            await Task.Delay(5, CancellationToken.None);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        _hosts.AssertEmpty();
        _timeout.Dispose();
    }

    private static string DigestOf(IEnumerable<Extent> extents) =>
        RankRig.DigestOf([.. extents]).ToString();

    private async Task<EngineResult<ImmutableArray<Extent>>> AskAsync(int pages)
    {
        while (true)
        {
            var grown = await _pool!.GrowAsync(0, pages, TimeSpan.FromSeconds(30), _timeout.Token);
            if (grown.Refusal is not { Reason: RefusalReason.NotAttached })
            {
                return grown;
            }

            await Task.Delay(5, _timeout.Token);
        }
    }

    /// <summary>What is mapped, not what a table says.</summary>
    private ImmutableArray<Extent> MappedOn(int rank) => Workers.IsEmpty
        ? _hosts[rank].Pages.TryGet(_pool!.Id, out var memory) ? memory.MappedExtents : []
        : Workers[rank].MappedNow();
}
