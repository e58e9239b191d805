using System.Net.Http.Headers;
using System.Text;
using Kvcached.Client;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Units;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Sharing;

/// <summary>Engines with the library share a real host: what operators lay down holds, without any engine's doing.</summary>
public sealed class SharingTests : IAsyncLifetime
{
    private const int BlocksPerPage = 512;
    private const long PageIdBytes = 4 * ByteSize.MiB;

    // What is mapped is what was asked for, no more.
    private static readonly KvPoolOptions Plain = new() { IsGrowingAhead = false, HasNullBlock = false, WarmDecay = TimeSpan.FromHours(1) };

    private readonly HostLauncher _launcher = new();
    private readonly List<IDisposable> _engines = [];
    private RunningHost _host = null!;

    // 64 MiB: 16 page ids.
    public async Task InitializeAsync() => _host = await _launcher.StartReadyAsync("--gpu", "none:0", "--housekeeping-interval", "50ms", "--max-extent-share", "0.01");

    public async Task DisposeAsync()
    {
        foreach (var engine in Enumerable.Reverse(_engines))
        {
            engine.Dispose();
        }

        await _launcher.DisposeAsync();
    }

    [Fact]
    public async Task LoweredLimit_TakesWhatIsUnused_AtOnce_AndNeverWhatIsInUse()
    {
        var pool = Open("conv");
        var blocks = Take(pool, 8 * BlocksPerPage);
        Assert.Equal(BlockFaultKind.None, pool.Free(0, blocks.AsSpan(4 * BlocksPerPage), EngineStep.None).Kind);

        // The engine does nothing from here on. Below half of what it has, then below what it uses.
        await ChangeAsync("conv", """{"limit": "20MiB"}""");
        await HoldsAsync("conv", held => held <= 20 * ByteSize.MiB);
        var deferred = await ChangeAsync("conv", """{"limit": "4MiB"}""");
        Assert.Equal("deferred", deferred.Outcome);
        await HoldsAsync("conv", held => held == 4 * PageIdBytes);
        Assert.Equal(4, pool.Extents(0).Sum(extent => extent.PageCount));
        Assert.Equal(RefusalReason.LimitExceeded, pool.Grow(0, 1, TimeSpan.FromSeconds(5)).Refusal?.Reason);
        await HoldsAsync("conv", held => held == 4 * PageIdBytes);

        // What was in use is still its own, and goes once it isn't.
        Assert.Equal(BlockFaultKind.None, pool.Free(0, blocks.AsSpan(0, 4 * BlocksPerPage), EngineStep.None).Kind);
        await HoldsAsync("conv", held => held <= PageIdBytes);
        Assert.Equal("applied", (await ChangeAsync("conv", """{"limit": "4MiB"}""")).Outcome);
    }

    [Fact]
    public async Task LoweredLimit_EvictsWhatIsOnlyCached()
    {
        var pool = Open("conv");
        var blocks = Take(pool, 4 * BlocksPerPage);
        for (var index = 0; index < blocks.Length; index++)
        {
            Assert.Equal(BlockFaultKind.None, pool.Cache(0, blocks[index], BitConverter.GetBytes(index), EngineStep.None).Kind);
        }

        Assert.Equal(blocks.Length, pool.Available(0).CachedBlocks);
        await ChangeAsync("conv", """{"limit": "8MiB"}""");
        await HoldsAsync("conv", held => held <= 8 * ByteSize.MiB);
        Assert.InRange(pool.Available(0).CachedBlocks, 1, 2 * BlocksPerPage);
    }

    [Fact]
    public async Task ThreeModels_WhoseFloorsAreAllThereIs_EachGetTheirFloorWhileAnotherBursts()
    {
        // 8 + 4 + 4 of 16 page ids.
        var (chat, code, embed) = (Open("chat", floorPages: 8), Open("code", floorPages: 4), Open("embed", floorPages: 4));
        var gpu = Assert.Single(await _host.GetAsync("/gpus", ManagementJsonContext.Default.GpuViewArray));
        Assert.Equal(16 * PageIdBytes, gpu.CapacityBytes);
        Assert.Equal(gpu.CapacityBytes, (await PoolsAsync()).Sum(pool => pool.FloorBytes));

        // One asks for all, in any size: it gets its floor and not a byte of the others'.
        var burst = Take(chat, 8 * BlocksPerPage);
        foreach (var pages in new[] { 1, 4, 8 })
        {
            var refused = chat.Grow(0, pages, TimeSpan.FromMilliseconds(500)).Refusal;
            Assert.Equal(RefusalReason.OutOfMemory, refused?.Reason);
        }

        var took = new[] { (code, 4), (embed, 4) }.Select(pair => Take(pair.Item1, pair.Item2 * BlocksPerPage)).ToArray();
        Assert.All(await PoolsAsync(), pool => Assert.Equal(pool.FloorBytes, Assert.Single(pool.OnGpus).UsedBytes));

        // Nor when the others have given theirs back: the next burst finds it theirs still.
        Assert.Equal(BlockFaultKind.None, code.Free(0, took[0], EngineStep.None).Kind);
        Assert.True(code.Trim(0, 0, HostLauncher.Patience).IsGranted);
        Assert.Equal(RefusalReason.OutOfMemory, chat.Grow(0, 1, TimeSpan.FromMilliseconds(500)).Refusal?.Reason);
        Assert.Equal(4 * BlocksPerPage, Take(code, 4 * BlocksPerPage).Length);
        Assert.Equal(8 * BlocksPerPage, burst.Length);

        // A fourth model's floor has no place, and is told so.
        Assert.Equal(RefusalReason.FloorDoesNotFit, TryOpen("fourth", 1).Refusal?.Reason);
    }

    private KvPool Open(string name, int floorPages = 0)
    {
        var opened = TryOpen(name, floorPages);
        Assert.True(opened.IsGranted, opened.Refusal?.ToString());
        return opened.Value!;
    }

    private ClientResult<KvPool> TryOpen(string name, int floorPages)
    {
        var session = KvSession.Open(new KvSessionOptions { SocketPath = _host.Ready.Socket, EngineName = name });
        Assert.True(session.IsGranted, session.Refusal?.ToString());
        _engines.Add(session.Value!);
        var one = RawEngine.Spec();
        var spec = one with
        {
            Name = name, FloorBytes = floorPages * PageIdBytes, Geometry = new PoolGeometry(KvLayout.Contiguous, 0, [64], one.Geometry.Ranks),
        };
        var pool = session.Value!.OpenPool(spec, Plain, HostLauncher.Patience);
        if (pool.IsGranted)
        {
            _engines.Add(pool.Value!);
        }

        return pool;
    }

    private static BlockId[] Take(KvPool pool, int count)
    {
        var blocks = new BlockId[count];
        Assert.Null(pool.AllocateOrGrow(0, blocks, HostLauncher.Patience));
        return blocks;
    }

    private async Task<LimitOutcomeView> ChangeAsync(string pool, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/pools/{pool}/limit") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(_host.Ready.TokenFile)).Trim());
        using var response = await _host.Http.SendAsync(request);
        var answer = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, answer);
        return System.Text.Json.JsonSerializer.Deserialize(answer, ManagementJsonContext.Default.LimitOutcomeView)!;
    }

    private Task<PoolView> HoldsAsync(string pool, Func<long, bool> isWanted) => _host.GetUntilAsync(
        $"/pools/{pool}", ManagementJsonContext.Default.PoolView, view => view.State == "ready" && isWanted(Assert.Single(view.OnGpus).UsedBytes));

    private async Task<IReadOnlyList<PoolView>> PoolsAsync() => (await _host.GetAsync("/pools", ManagementJsonContext.Default.PoolsView)).Pools;
}
