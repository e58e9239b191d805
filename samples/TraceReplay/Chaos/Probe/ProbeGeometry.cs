using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.EngineProbe;

/// <summary>A small model: few layers of keys and values, 64 KiB blocks, 2 MiB pages, so 32 blocks a page and 8 MiB a page id with 2 layers.</summary>
internal static class ProbeGeometry
{
    private const long PageBytes = 2 << 20;

    public static PoolGeometry Of(ProbeCommand command)
    {
        var shape = new KvGroupShape(
            "full", KvGroupKind.MultiHead, TokensPerBlock: 16, (int)command.Number("layers", 2), BufferCount: 2, command.Number("blockBytes", 64 << 10), PageBytes);
        var layout = Enum.Parse<KvLayout>(command.Text("layout", nameof(KvLayout.Contiguous)));
        return new PoolGeometry(
            layout, layout == KvLayout.Grouped ? 1 : 0, [(int)command.Number("pages", 64)],
            [.. command.Text("gpus").Split(',').Select(gpu => new RankShape(GpuId.Parse(gpu), [shape]))]);
    }
}
