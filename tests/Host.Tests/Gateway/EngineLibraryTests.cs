using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvcached.Client;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>The engine's library against a real host: a scheduler and a worker over the socket, memory shared by descriptor.</summary>
public sealed class EngineLibraryTests : IAsyncLifetime
{
    private const int BlocksWanted = 300;

    private readonly HostLauncher _launcher = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task Engine_SchedulerAndWorker_GrowsWritesGivesBackAndLeavesTheHostAsItWas()
    {
        var host = await _launcher.StartReadyAsync("--gpu", "none:0");
        var capacity = host.Ready.CapacityBytes;
        using (var session = Granted(KvSession.Open(new KvSessionOptions { SocketPath = host.Ready.Socket, EngineName = "test" })))
        {
            var spec = RawEngine.Spec() with { Target = PoolTarget.Worker };
            using var pool = Granted(session.OpenPool(spec, HostLauncher.Patience));
            using var arena = Granted(KvArena.Attach(new KvAttachOptions
            {
                SocketPath = host.Ready.Socket,
                PoolName = spec.Name,
                Rank = 0,
                Device = GpuId.Parse("HOST-0"),
                AttachTimeout = HostLauncher.Patience,
            }));
            Assert.Equal(pool.Id, arena.Pool);

            var blocks = new BlockId[BlocksWanted];
            await AllocateAsync(pool, blocks);
            var mapped = pool.Extents(0).Sum(extent => extent.PageCount);
            Assert.True(mapped > 0);
            foreach (var extent in pool.Extents(0))
            {
                // Memory that the host made and lent, written through this process's own mapping.
                var offset = (nint)extent.First.Value * (nint)spec.Geometry.Ranks[0].Groups[0].BytesPerPageId;
                Marshal.WriteInt64(arena.BaseAddress, (int)offset, 0x5EED);
                Assert.Equal(0x5EED, Marshal.ReadInt64(arena.BaseAddress, (int)offset));
            }

            Assert.Equal(BlockFaultKind.None, pool.Free(0, blocks, EngineStep.None).Kind);
            Granted(pool.Trim(0, 0, HostLauncher.Patience));
            Assert.Null(pool.Close(HostLauncher.Patience));
        }

        var gpus = await host.GetUntilAsync(
            "/gpus", ManagementJsonContext.Default.GpuViewArray, view => view.All(gpu => gpu.FreeBytes == gpu.CapacityBytes && gpu.RankMappedBytes == 0));
        Assert.Equal(capacity, Assert.Single(gpus).CapacityBytes);
    }

    // The worker is attached; its coordinator hears of it from the rank a moment later.
    private static async Task AllocateAsync(KvPool pool, BlockId[] blocks)
    {
        var waited = Stopwatch.StartNew();
        while (pool.AllocateOrGrow(0, blocks, HostLauncher.Patience) is { } refusal)
        {
            Assert.Equal(RefusalReason.NotAttached, refusal.Reason);
            Assert.True(waited.Elapsed < HostLauncher.Patience, refusal.ToString());
            await Task.Delay(20);
        }
    }

    private static T Granted<T>(ClientResult<T> result)
    {
        Assert.True(result.IsGranted, result.Refusal?.ToString());
        return result.Value!;
    }
}
