using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Tests.Scheduling;

/// <summary>Two KV groups of small pages: 8 and 4 blocks per page, on one rank.</summary>
internal static class TestGeometry
{
    public const int PageCount = 32;

    public static PoolGeometry Create() => new(KvLayout.Contiguous, 0, [PageCount, PageCount],
    [
        new RankShape(GpuId.Parse("HOST-0"),
        [
            new KvGroupShape("full", KvGroupKind.MultiHead, 16, 2, 2, 512, 4096),
            new KvGroupShape("state", KvGroupKind.State, 0, 1, 1, 1024, 4096),
        ]),
    ]);
}
