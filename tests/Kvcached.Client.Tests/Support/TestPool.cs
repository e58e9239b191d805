using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Tests.Support;

/// <summary>A pool of one rank on main memory: one KV group, two layers with keys and values, 64 KiB pages of 8 blocks.</summary>
internal static class TestPool
{
    public const int PageCount = 16;
    public const int BlocksPerPage = 8;
    public const long PageBytes = 64 * 1024;

    public static readonly GpuId Device = GpuId.Parse("HOST-0");

    public static readonly PoolId Id = PoolId.Create(1, 1);

    /// <summary>Every layer and buffer is a mapping unit of its own, so that an extent has twice as many descriptors as the pool has layers.</summary>
    public static PoolSpec Spec(int layers = 2) => new(
        "pool",
        new PoolGeometry(KvLayout.PerLayer, 0, [PageCount],
            [new RankShape(Device, [new KvGroupShape("full", KvGroupKind.MultiHead, 16, layers, 2, PageBytes / BlocksPerPage, PageBytes)])]),
        PoolTarget.Worker, 0, 0, 100);

    public static Extent Extent(int first, byte order = 0, uint generation = 1) => new(0, new PageId(first), order, generation);
}
