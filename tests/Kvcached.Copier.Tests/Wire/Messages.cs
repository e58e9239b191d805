using System.Collections.Immutable;
using CsCheck;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Tests.Wire;

/// <summary>Generators of every request and reply; each can be told apart by <see cref="Describe"/>.</summary>
internal static class Messages
{
    private static readonly Gen<PoolId> Pools = Gen.Long.Select(v => new PoolId(v));

    private static readonly Gen<Extent> Extents = Gen.Select(
        Gen.Int, Gen.Int, Gen.Byte, Gen.UInt, (g, p, o, n) => new Extent(g, new PageId(p), o, n));

    private static readonly Gen<GpuId> Gpus = Gen.Char["ABCxyz019-"].Array[1, GpuId.MaxLength].Select(c => GpuId.Parse(new string(c)));

    private static readonly Gen<KvGroupShape> Groups = Gen.Select(
        Gen.String[Gen.Char["aé漢 "], 0, 64], Gen.Byte, Gen.Select(Gen.Int, Gen.Int, Gen.Int), Gen.Select(Gen.Long, Gen.Long),
        (name, kind, counts, bytes) => new KvGroupShape(name, (KvGroupKind)kind, counts.Item1, counts.Item2, counts.Item3, bytes.Item1, bytes.Item2));

    private static readonly Gen<PoolGeometry> Geometries = Gen.Select(
        Gen.Byte, Gen.Int, Gpus, Gen.Select(Gen.Int, Groups).Array[0, GeometryRules.MaxGroups],
        (layout, perMapping, gpu, groups) => new PoolGeometry(
            (KvLayout)layout, perMapping, [.. groups.Select(g => g.Item1)], [new RankShape(gpu, [.. groups.Select(g => g.Item2)])]));

    private static readonly Gen<ImmutableArray<BlockStamp>> Stamps = Gen.Select(
        Gen.Int, Gen.UInt, Gen.Bool, (b, v, w) => new BlockStamp(new BlockId(b), v, w)).Array[0, 50].Select(s => s.ToImmutableArray());

    private static readonly Gen<BlockMismatch> Mismatches = Gen.Select(
        Gen.Select(Gen.Int, Gen.UInt, Gen.Long), Gen.Select(Gen.Int, Gen.Int), Gen.Select(Gen.Long, Gen.ULong, Gen.ULong),
        (a, b, c) => new BlockMismatch(new BlockId(a.Item1), a.Item2, a.Item3, b.Item1, b.Item2, new StampMismatch(c.Item1, c.Item2, c.Item3)));

    private static readonly Gen<int> Indices = Gen.Int[0, int.MaxValue];

    public static readonly Gen<IRequest> Requests = Gen.OneOf<IRequest>(
        Gen.Select(Gen.Int, Gen.Byte, Gpus, (v, b, g) => (IRequest)new Hello(v, (CopierBackend)b, g)),
        Gen.Select(Pools, Indices, Geometries, (p, r, g) => (IRequest)new Attach(p, r, g)),
        Gen.Select(Pools, Extents, Gen.Int[0, 4000], Gen.Int[1, 96], Gen.Int[0, 90], (p, e, first, count, more) =>
            (IRequest)new Map(p, e, first, Math.Min(first + count + more, GeometryRules.MaxUnits), Math.Min(count, GeometryRules.MaxUnits - first))),
        Gen.Select(Pools, Extents, (p, e) => (IRequest)new Drop(p, e)),
        Gen.Select(Pools, Indices, Stamps, (p, g, s) => (IRequest)new Stamp(p, g, s)),
        Gen.Select(Pools, Indices, Stamps, (p, g, s) => (IRequest)new Verify(p, g, s)),
        Gen.Select(Pools, Extents, (p, e) => (IRequest)new Checksum(p, e)),
        Pools.Select(p => (IRequest)new Detach(p)),
        Gen.Const((IRequest)new Exit()));

    public static readonly Gen<IReply> Replies = Gen.OneOf<IReply>(
        Gen.Select(Gen.Int, Gen.Int[1, 1000], Gen.Long[1, long.MaxValue], (p, m, g) => (IReply)new HelloAccepted(p, m, g)),
        Gen.Const((IReply)new Done()),
        Gen.Select(Mismatches.Array[0, VerifyReport.MaxMismatches], Gen.Int[0, 1000], Gen.Int[0, 1000], Gen.Long[0, long.MaxValue], (m, more, clean, w) =>
            (IReply)new Verified(new VerifyReport(m.Length + more + clean, m.Length + more, w, [.. m]))),
        Gen.ULong.Select(v => (IReply)new Summed(new ExtentChecksum(v))),
        Gen.Select(Gen.Enum<CopierRefusal>(), Gen.String[Gen.Char["aé漢 "], 0, 512], (r, m) => (IReply)new Refused(r, m)));

    /// <summary>All that a message says, lists included.</summary>
    public static string Describe(object message) => message switch
    {
        Attach a => $"{a.Pool} {a.Rank} {a.Geometry.Layout} {a.Geometry.LayersPerMapping} {a.Geometry.Ranks[0].Gpu} "
            + string.Join(";", a.Geometry.VirtualPageCounts.Zip(a.Geometry.Ranks[0].Groups)),
        Stamp s => $"stamp {s.Pool} {s.Group} {string.Join(";", s.Stamps)}",
        Verify v => $"verify {v.Pool} {v.Group} {string.Join(";", v.Stamps)}",
        Verified v => $"{v.Report.BlockCount} {v.Report.MismatchingBlockCount} {v.Report.WordCount} {string.Join(";", v.Report.Mismatches)}",
        _ => message.ToString()!,
    };

    /// <summary>Descriptors that must come with a request.</summary>
    public static int DescriptorsOf(IRequest request) => request is Map map ? map.DescriptorCount : 0;
}
