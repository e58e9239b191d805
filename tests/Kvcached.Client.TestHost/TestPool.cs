using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.HostMemory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.TestHost;

/// <summary>A pool: who has it open, and what it holds.</summary>
internal sealed class TestPool(PoolId id, PoolSpec spec, HostVirtualMemory[] gpus)
{
    private readonly GenerationCounter _generations = new();
    private ExtentAllocator[]? _allocators;

    public PoolId Id { get; } = id;

    public PoolSpec Spec { get; } = spec;

    public SessionId Session { get; set; }

    public Peer? Scheduler { get; set; }

    public SafeFileHandle? Tags { get; set; }

    public long TagBytes { get; set; }

    public Rank[] Ranks { get; } =
        [.. spec.Geometry.Ranks.Select((rank, index) => new Rank(gpus.First(gpu => gpu.Gpu == rank.Gpu), spec.Geometry, index))];

    public ExtentAllocator[] Allocators =>
        _allocators ??= [.. Spec.Geometry.VirtualPageCounts.Select((count, group) => new ExtentAllocator(group, count, _generations))];
}
