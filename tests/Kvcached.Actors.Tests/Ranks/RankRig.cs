using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Tests.Ranks;

/// <summary>One rank's memory, real but small, and commands for it.</summary>
internal sealed class RankRig : IDisposable
{
    public const int CapacityPages = 64;

    public RankRig(int gpu = 0)
    {
        Memory = new FaultInjectingVirtualMemory(
            new HostVirtualMemory(new HostVirtualMemoryOptions
            {
                Gpu = TestPools.Gpu(gpu), CapacityBytes = CapacityPages * TestPools.PageBytes, GranularityBytes = TestPools.PageBytes,
            }),
            TimeProvider.System);
        Pages = new PagePool(Memory, new PagePoolOptions { CapacityBytes = CapacityPages * TestPools.PageBytes }, TimeProvider.System);
        State = new RankState(Pages);
    }

    public static Epoch Fifth { get; } = new(5, 1);

    public static SessionId Session { get; } = SessionId.New();

    public static PoolId PoolA { get; } = PoolId.Create(5, 1);

    public static PoolId PoolB { get; } = PoolId.Create(5, 2);

    public FaultInjectingVirtualMemory Memory { get; }

    public PagePool Pages { get; }

    public RankState State { get; }

    public CopierHoldings Holdings { get; } = new();

    public void Dispose()
    {
        Memory.Heal();
        Pages.Dispose();
        Memory.Dispose();
    }

    public ImmutableArray<Extent> MappedIn(PoolId pool) => Pages.TryGet(pool, out var memory) ? [.. memory.MappedExtents.OrderBy(e => e.First)] : [];

    public static RankProtocol.OpenRankPool Open(PoolId pool) => new(Fifth, pool, 0, TestPools.Spec(NameOf(pool), TestPools.Gpus(1), 64), Session);

    /// <summary>A pool that workers of user <paramref name="userId"/> map.</summary>
    public static RankProtocol.OpenRankPool OpenForWorkers(PoolId pool, long userId = -1) =>
        Open(pool) with { Spec = TestPools.WorkerSpec(NameOf(pool), TestPools.Gpus(1), 64) with { OwnerUserId = userId } };

    public static string NameOf(PoolId pool) => $"p{pool.Value}";

    public static RankProtocol.Decide Map(PoolId pool, long seq, params ImmutableArray<Extent> extents) =>
        new(new Decision(pool, Fifth, seq, DecisionKind.Map, extents, 0, Session, new RequestId(seq), default, EngineStep.None));

    public static RankProtocol.Decide Unmap(PoolId pool, long seq, params ImmutableArray<Extent> extents) =>
        new(Map(pool, seq, extents).Decision with { Kind = DecisionKind.Unmap });

    public static RankProtocol.Decide Abort(PoolId pool, long seq, long aborted, params ImmutableArray<Extent> extents) =>
        new(Map(pool, seq, extents).Decision with { Kind = DecisionKind.Abort, AbortedSeq = aborted });

    public static Extent Extent(int first, byte order, uint generation) => new(0, new PageId(first), order, generation);

    public static LayoutDigest DigestOf(params Extent[] extents) => extents.Aggregate(LayoutDigest.Empty, (digest, extent) => digest.With(extent));
}
