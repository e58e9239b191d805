using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>The pool of the worker that is measured: 8 layers of keys and values in one mapping, pages of 2 MiB, so 32 MiB a page id.</summary>
internal static class AttachedPool
{
    public const string Name = "measured";

    public static PoolSpec Spec(GpuId device, int order, int extentCount) => new(
        Name,
        new PoolGeometry(
            KvLayout.Contiguous, 0, [extentCount << order],
            [new RankShape(device, [new KvGroupShape("full", KvGroupKind.MultiHead, 16, 8, 2, 16 * 2 * 128 * 2, 2 << 20)])]),
        PoolTarget.Worker, 0, 0, 1);

    public static Extent ExtentAt(int index, int order) => new(0, new PageId(index << order), (byte)order, (uint)index + 1);
}
