using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>A page pool over a backend that can be made to fail; when it ends, it insists that nothing is left.</summary>
internal sealed class PoolBench : IDisposable
{
    internal const int FullVirtualPages = 64;
    internal const int LatentVirtualPages = 32;

    internal PoolBench(ICheckRig rig, int capacityPages, PagePoolOptions? options = null)
    {
        Rig = rig;
        Memory = rig.Open();
        Descriptors = new FileDescriptorBudget(4096);
        options ??= new PagePoolOptions { CapacityBytes = 1 };
        Pool = new PagePool(Memory, options with { CapacityBytes = capacityPages * rig.PageBytes }, TimeProvider.System, Descriptors);
    }

    internal ICheckRig Rig { get; }

    internal FaultInjectingVirtualMemory Memory { get; }

    internal FileDescriptorBudget Descriptors { get; }

    internal PagePool Pool { get; }

    internal static IReadOnlyList<KvLayout> Layouts { get; } = [KvLayout.Contiguous, KvLayout.Grouped, KvLayout.PerLayer];

    /// <summary>
    /// Two KV groups: three layers of keys and values (six pages of memory per page id), and two layers with one latent buffer (two).
    /// </summary>
    internal static PoolGeometry Geometry(ICheckRig rig, KvLayout layout) => new(
        layout,
        layout == KvLayout.Grouped ? 2 : 0,
        [FullVirtualPages, LatentVirtualPages],
        [
            new RankShape(rig.Gpu,
            [
                new KvGroupShape("full", KvGroupKind.MultiHead, 16, 3, 2, rig.PageBytes / 4, rig.PageBytes),
                new KvGroupShape("latent", KvGroupKind.MultiHeadLatent, 16, 2, 1, rig.PageBytes / 2, rig.PageBytes),
            ]),
        ]);

    internal static Extent ExtentOf(int group, int first, byte order, uint generation = 1) => new(group, new PageId(first), order, generation);

    internal RankPool Open(int serial, KvLayout layout, int floorPages = 0, bool isMappedHere = true) =>
        Expect.Is<OpenRankPoolResult.Opened>(
            Pool.Open(PoolId.Create(1, serial), Geometry(Rig, layout), 0, floorPages * Rig.PageBytes, isMappedHere), $"opening pool {serial}").Pool;

    internal static MapResult.Mapped Map(RankPool pool, params ImmutableArray<Extent> extents) =>
        Expect.Is<MapResult.Mapped>(pool.TryMap(extents.AsSpan()), $"mapping {string.Join(", ", extents)}");

    internal static void Unmap(RankPool pool, bool keep, params ImmutableArray<Extent> extents)
    {
        var result = pool.Unmap(extents.AsSpan(), keep);
        Expect.Equal(extents.Length, result.Unmapped.Length, "extents unmapped");
    }

    internal RankPoolSnapshot SnapshotOf(RankPool pool) => Pool.Snapshot().Pools.Single(p => p.Pool == pool.Id);

    /// <summary>What the ledger says agrees with what the backend was asked for.</summary>
    internal void ExpectBalance()
    {
        var snapshot = Pool.Snapshot();
        var live = Memory.Live;
        Expect.Equal(live.HandleBytes, snapshot.HeldBytes, "bytes of live handles against the ledger");
        Expect.Equal(live.HandleCount, snapshot.Pools.Sum(p => p.HandleCount), "live handles against the ledger");
        Expect.Equal(Descriptors.UsedCount, snapshot.Pools.Sum(p => p.DescriptorCount), "descriptors against the budget");
        Expect.That(snapshot.HeldBytes <= snapshot.CapacityBytes, $"{snapshot.HeldBytes} bytes are held, more than the capacity");
        Expect.Equal(0, snapshot.Pools.Sum(p => p.PendingBytes), "bytes under way");
    }

    public void Dispose()
    {
        Memory.Heal();
        ExpectBalance();
        Pool.Dispose();
        var left = Memory.Live;
        Memory.Dispose();
        Expect.Equal(default, left, "what is left after the check");
        Expect.Equal(0, Descriptors.UsedCount, "descriptors left");
    }
}
