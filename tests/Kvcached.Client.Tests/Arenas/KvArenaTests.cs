using Kvcached.Client.Tests.Support;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Fences;
using Kvcached.Gpu.HostMemory;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Core.Workers.WorkerProtocol;

namespace Kvcached.Client.Tests.Arenas;

/// <summary>A worker against a host that the test plays, over real sockets.</summary>
public sealed class KvArenaTests : IDisposable
{
    private readonly FaultInjectingVirtualMemory _driver =
        new(new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes }), TimeProvider.System);

    private readonly PairConnector _connector = new();
    private readonly Lender _lender = new(ArenaLayout.Create(TestPool.Spec().Geometry, 0));
    private readonly List<HostConnection> _connections = [];
    private long _operation;

    public void Dispose()
    {
        _connections.ForEach(c => c.Dispose());
        _lender.Dispose();
        _driver.Dispose();
    }

    [Fact]
    public async Task Attach_PoolNotYetOpen_TriesAgainUntilItIs()
    {
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromSeconds(60)));
        var early = Accept();
        early.Expect<AttachRank>();
        early.Say(new AttachRefused(new Refusal(RefusalReason.UnknownPool, "Not yet.")));
        var host = Accept();
        var request = host.Expect<AttachRank>();
        Assert.Equal(("pool", 0, "host", default(PoolId)), (request.PoolName, request.Rank, request.Backend, request.Pool));
        host.Say(new RankAttached(TestPool.Id, 0, TestPool.Spec()));
        host.Say(TableComplete.Instance);
        var result = await attaching;
        Assert.Null(result.Refusal);
        result.Value!.Dispose();
    }

    [Fact]
    public async Task Attach_PoolHoldsMemory_WaitsUntilAllIsMapped()
    {
        var extent = TestPool.Extent(1);
        var (lent, descriptors) = _lender.Lend(extent);
        _lender.View(extent, 0).Fill(0x5A);
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromSeconds(60)));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new RankAttached(TestPool.Id, 0, TestPool.Spec()));
        host.Say(new Operate(++_operation, WorkerOperationKind.Install, new Epoch(1, 1), 1, EngineStep.None, [lent], []), descriptors);
        Assert.Null(host.Expect<OperationDone>().Refusal);
        Assert.False(attaching.IsCompleted);
        host.Say(TableComplete.Instance);
        using var arena = (await attaching).Value!;
        Assert.False(Block(arena, arena.Tensors[0], TestPool.BlocksPerPage).ContainsAnyExcept((byte)0x5A));
        Array.ForEach(descriptors, d => d.Dispose());
    }

    [Fact]
    public async Task Attach_TableNeverComplete_IsRefusedAndLeavesNothing()
    {
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromMilliseconds(500)));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new RankAttached(TestPool.Id, 0, TestPool.Spec()));
        Assert.Equal(RefusalReason.DeadlineExceeded, (await attaching).Refusal?.Reason);
        Assert.Equal(default, _driver.Live);
    }

    [Fact]
    public async Task Attach_PoolNeverOpened_IsRefusedWithTheLastReasonAndLeavesNothing()
    {
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromMilliseconds(500)));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new AttachRefused(new Refusal(RefusalReason.UnknownPool, "No such pool.")));
        var result = await attaching;
        Assert.Equal(RefusalReason.UnknownPool, result.Refusal?.Reason);
        Assert.Equal(default, _driver.Live);
    }

    [Fact]
    public async Task Attach_RefusedForGood_FailsAtOnce()
    {
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromMinutes(5)));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new AttachRefused(new Refusal(RefusalReason.WrongDevice, "Another GPU.")));
        Assert.Equal(RefusalReason.WrongDevice, (await attaching).Refusal?.Reason);
    }

    [Fact]
    public async Task Write_ThroughTensors_IsReadByTheHostThroughTheSameMemory()
    {
        using var arena = await Attach();
        var host = _connections[^1];
        var extent = TestPool.Extent(2, order: 1);
        Install(host, []);
        Map(host, extent);
        Assert.Equal(4, arena.Tensors.Length);
        foreach (var tensor in arena.Tensors)
        {
            Assert.Equal(TestPool.PageCount * TestPool.BlocksPerPage, tensor.BlockCount);
            for (var block = 2 * TestPool.BlocksPerPage; block < 4 * TestPool.BlocksPerPage; block++)
            {
                Block(arena, tensor, block).Fill(Pattern(tensor, block));
            }
        }

        foreach (var tensor in arena.Tensors)
        {
            var seen = _lender.View(extent, (tensor.Layer * 2) + tensor.Buffer);
            for (var block = 0; block < 2 * TestPool.BlocksPerPage; block++)
            {
                var at = block * (int)tensor.BlockStrideBytes;
                Assert.False(seen.Slice(at, (int)tensor.BlockBytes).ContainsAnyExcept(Pattern(tensor, block + (2 * TestPool.BlocksPerPage))));
            }
        }
    }

    [Fact]
    public async Task Map_MoreDescriptorsThanOnePacketCarries_MapsAllOfThem()
    {
        using var arena = await Attach(TestPool.Spec(layers: 40));
        using var lender = new Lender(arena.Layout);
        var host = _connections[^1];
        Install(host, []);
        var lent = Enumerable.Range(0, 8).Select(page => lender.Lend(TestPool.Extent(page))).ToArray();
        host.Say(
            new Operate(++_operation, WorkerOperationKind.Map, new Epoch(1, 1), 1, EngineStep.None, [.. lent.Select(l => l.Lent)], []),
            [.. lent.SelectMany(l => l.Descriptors)]);
        Assert.Null(host.Expect<OperationDone>().Refusal);
        Assert.Equal(8 * 80, _driver.Live.MappingCount);
        Block(arena, arena.Tensors[79], 7 * TestPool.BlocksPerPage).Fill(9);
        Assert.Equal(9, lender.View(TestPool.Extent(7), 79)[0]);
        host.Dispose();
        var held = Accept().Expect<AttachRank>(out var descriptors).Held;
        Assert.Equal((8, 8 * 80), (held.Length, descriptors.Count));
        descriptors.ForEach(d => d.Dispose());
        Array.ForEach(lent, l => Array.ForEach(l.Descriptors, d => d.Dispose()));
    }

    [Fact]
    public async Task Unmap_BehindAStep_IsAnsweredOnceTheWorkerSaysThatItIsDone()
    {
        using var arena = await Attach();
        var host = _connections[^1];
        Install(host, []);
        var lent = Map(host, TestPool.Extent(0));
        host.Say(new Operate(++_operation, WorkerOperationKind.Unmap, new Epoch(1, 1), 9, new EngineStep(4), [lent], []));
        arena.StepDone(new EngineStep(3));
        await Await.Until(() => arena.GetStats() is { LeavingExtents: 1, CompletedStep.Value: 3 }, "the unmap waits");
        Assert.False(host.HasSaid<OperationDone>());
        Assert.Equal(4, _driver.Live.MappingCount);
        arena.StepDone(new EngineStep(4), stream: 0);
        Assert.Equal(3, host.Expect<OperationDone>().Operation);
        Assert.Equal(0, _driver.Live.MappingCount);
    }

    [Fact]
    public async Task LostHost_MemoryStaysAndIsHandedBackWithItsDescriptors()
    {
        using var arena = await Attach();
        var host = _connections[^1];
        Install(host, []);
        var lent = Map(host, TestPool.Extent(1));
        var tensor = arena.Tensors[3];
        Block(arena, tensor, TestPool.BlocksPerPage).Fill(0x5A);
        host.Dispose();

        var next = Accept();
        var request = next.Expect<AttachRank>(out var descriptors);
        Assert.Equal((arena.Worker, TestPool.Id, new Epoch(1, 1)), (request.Worker, request.Pool, request.HighestEpoch));
        Assert.Equal([lent], request.Held.ToArray());
        Assert.Equal(4, descriptors.Count);
        Assert.False(Block(arena, tensor, TestPool.BlocksPerPage).ContainsAnyExcept((byte)0x5A));
        AssertIsMemory(descriptors[3], TestPool.PageBytes, 0x5A);
        descriptors.ForEach(d => d.Dispose());

        _operation = 0;
        next.Say(new RankAttached(TestPool.Id, 0, TestPool.Spec()));
        next.Say(new Operate(++_operation, WorkerOperationKind.Install, new Epoch(2, 1), 1, EngineStep.Sync, [lent], [true]));
        Assert.Equal(LayoutDigest.Empty.With(lent.Extent), next.Expect<OperationDone>().Digest);
        Assert.False(Block(arena, tensor, TestPool.BlocksPerPage).ContainsAnyExcept((byte)0x5A));
        await Await.Until(() => arena.GetStats() is { Connections: 2, Extents: 1, Descriptors: 4 }, "the worker is attached again");
    }

    [Fact]
    public async Task PoolGone_UnmapsEverythingSaysSoAndDetaches()
    {
        using var arena = await Attach();
        var host = _connections[^1];
        var told = new TaskCompletionSource<Refusal>(TaskCreationOptions.RunContinuationsAsynchronously);
        arena.PoolGone += told.SetResult;
        Install(host, []);
        Map(host, TestPool.Extent(0));
        host.Say(new PoolGone(new Refusal(RefusalReason.UnknownPool, "The pool was closed.")));
        Assert.Equal(RefusalReason.UnknownPool, (await told.Task).Reason);
        host.Expect<Detach>();
        Assert.Equal(0, _driver.Live.MappingCount);
        Assert.Equal(0, _driver.Live.HandleCount);
    }

    [Fact]
    public async Task Dispose_WithMappedMemory_LeavesNoMappingHandleOrDescriptor()
    {
        var before = ProcessFacts.CountDescriptorsToClose();
        var arena = await Attach();
        var host = _connections[^1];
        Install(host, []);
        Map(host, TestPool.Extent(0));
        await Await.Until(() => arena.GetStats().Descriptors == 4, "the extent is counted");
        Assert.Equal(before + 5, ProcessFacts.CountDescriptorsToClose());
        Assert.Null(arena.Detach(TimeSpan.FromSeconds(30)));
        host.Expect<Detach>();
        Assert.Equal(default, _driver.Live);
        Assert.Equal(before, ProcessFacts.CountDescriptorsToClose());
        arena.Dispose();
    }

    [Fact]
    public async Task Detach_DriverKeepsAMapping_SaysSoAndLeavesItMapped()
    {
        var arena = await Attach();
        var host = _connections[^1];
        Install(host, []);
        Map(host, TestPool.Extent(0));
        _driver.FailAll(Gpu.Memory.VirtualMemoryOperation.Unmap, Gpu.Memory.DriverCode.Unknown);
        Assert.Equal(RefusalReason.DriverFailed, arena.Detach(TimeSpan.FromMilliseconds(300))?.Reason);
        Assert.Equal(4, _driver.Live.MappingCount);
        Assert.False(host.HasSaid<Detach>());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Guarded_UnmappedBlocks_ReadAsZeroesBeforeDuringAndAfterAPage(bool isReservedReadable)
    {
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
        using var driver = new FaultInjectingVirtualMemory(memory, TimeProvider.System) { HasReadableReservations = isReservedReadable };
        var arena = await Attach(memory: driver, guard: ArenaGuard.Zero);
        var host = _connections[^1];
        Install(host, []);
        AssertIsZero(arena, 0, TestPool.PageCount);
        var lent = Map(host, TestPool.Extent(4, order: 1));
        foreach (var tensor in arena.Tensors)
        {
            for (var block = 4 * TestPool.BlocksPerPage; block < 6 * TestPool.BlocksPerPage; block++)
            {
                Block(arena, tensor, block).Fill(0xEE);
            }
        }

        AssertIsZero(arena, 0, 4);
        AssertIsZero(arena, 6, TestPool.PageCount);
        Assert.Equal(0xEE, _lender.View(lent.Extent, 3)[^1]);
        host.Say(new Operate(++_operation, WorkerOperationKind.Unmap, new Epoch(1, 1), 9, EngineStep.None, [lent], []));
        Assert.Null(host.Expect<OperationDone>().Refusal);
        AssertIsZero(arena, 0, TestPool.PageCount);
        Assert.Null(arena.Detach(TimeSpan.FromSeconds(30)));
        Assert.Equal(default, driver.Live);
        arena.Dispose();
    }

    [Fact]
    public async Task Guarded_DriverRefusesAMap_ZeroesAreBackAndTheNextMapWorks()
    {
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
        using var driver = new FaultInjectingVirtualMemory(memory, TimeProvider.System) { HasReadableReservations = false };
        var arena = await Attach(memory: driver, guard: ArenaGuard.Zero);
        var host = _connections[^1];
        Install(host, []);
        foreach (var operation in (Gpu.Memory.VirtualMemoryOperation[])[
            Gpu.Memory.VirtualMemoryOperation.Unmap, Gpu.Memory.VirtualMemoryOperation.Map, Gpu.Memory.VirtualMemoryOperation.SetAccess])
        {
            var (refused, descriptors) = _lender.Lend(TestPool.Extent(0));
            driver.FailNth(operation, 3, Gpu.Memory.DriverCode.Unknown);
            host.Say(new Operate(++_operation, WorkerOperationKind.Map, new Epoch(1, 1), _operation, EngineStep.None, [refused], []), descriptors);
            Array.ForEach(descriptors, d => d.Dispose());
            Assert.Equal(RefusalReason.DriverFailed, host.Expect<OperationDone>().Refusal?.Reason);
            AssertIsZero(arena, 0, TestPool.PageCount);
        }

        Map(host, TestPool.Extent(0));
        Block(arena, arena.Tensors[3], 0).Fill(0xEE);
        AssertIsZero(arena, 1, TestPool.PageCount);
        Assert.Null(arena.Detach(TimeSpan.FromSeconds(30)));
        Assert.Equal(default, driver.Live);
        arena.Dispose();
    }

    [Fact]
    public async Task Guarded_NothingLeftForTheZeroes_IsRefusedAndLeavesNothing()
    {
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
        using var driver = new FaultInjectingVirtualMemory(memory, TimeProvider.System) { HasReadableReservations = false };
        driver.FailAll(Gpu.Memory.VirtualMemoryOperation.Create, Gpu.Memory.DriverCode.OutOfMemory);
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromMinutes(5), driver, ArenaGuard.Zero));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new RankAttached(TestPool.Id, 0, TestPool.Spec()));
        Assert.Equal(RefusalReason.DriverFailed, (await attaching).Refusal?.Reason);
        Assert.Equal(default, driver.Live);
    }

    private static void AssertIsZero(KvArena arena, int firstPage, int endPage)
    {
        foreach (var tensor in arena.Tensors)
        {
            for (var block = firstPage * TestPool.BlocksPerPage; block < endPage * TestPool.BlocksPerPage; block++)
            {
                Assert.False(Block(arena, tensor, block).ContainsAnyExcept((byte)0), $"block {block} of layer {tensor.Layer}, buffer {tensor.Buffer}");
            }
        }
    }

    private static byte Pattern(KvTensor tensor, int block) => (byte)(1 + (tensor.Layer * 100) + (tensor.Buffer * 50) + block);

    private static unsafe Span<byte> Block(KvArena arena, KvTensor tensor, int block) =>
        new((void*)(arena.BaseAddress + (nint)tensor.OffsetBytes + (nint)(block * tensor.BlockStrideBytes)), (int)tensor.BlockBytes);

    private static unsafe void AssertIsMemory(SafeFileHandle descriptor, long bytes, byte expectedFirst)
    {
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { GranularityBytes = TestPool.PageBytes });
        var handle = memory.Import(descriptor, bytes);
        var reservation = memory.Reserve(bytes);
        memory.Map(reservation.BaseAddress, bytes, 0, handle);
        memory.SetAccess(reservation.BaseAddress, bytes, Gpu.Memory.MemoryAccess.Read);
        Assert.Equal(expectedFirst, *(byte*)reservation.BaseAddress);
    }

    private ClientResult<KvArena> TryAttach(TimeSpan timeout, Gpu.Memory.IVirtualMemory? memory = null, ArenaGuard guard = ArenaGuard.None) => KvArena.Attach(
        new KvAttachOptions
        {
            SocketPath = "none", PoolName = "pool", Rank = 0, Device = TestPool.Device, Memory = memory ?? _driver, AttachTimeout = timeout,
            RetryInterval = TimeSpan.FromMilliseconds(5), Guard = guard,
        },
        _connector, TimeProvider.System, StreamFences.For);

    private HostConnection Accept()
    {
        _connections.Add(_connector.Accept());
        return _connections[^1];
    }

    private async Task<KvArena> Attach(PoolSpec? spec = null, Gpu.Memory.IVirtualMemory? memory = null, ArenaGuard guard = ArenaGuard.None)
    {
        var attaching = Task.Run(() => TryAttach(TimeSpan.FromSeconds(60), memory, guard));
        var host = Accept();
        host.Expect<AttachRank>();
        host.Say(new RankAttached(TestPool.Id, 0, spec ?? TestPool.Spec()));
        host.Say(TableComplete.Instance);
        var result = await attaching;
        Assert.Null(result.Refusal);
        return result.Value!;
    }

    private void Install(HostConnection host, LentExtent[] extents)
    {
        host.Say(new Operate(++_operation, WorkerOperationKind.Install, new Epoch(1, 1), 1, EngineStep.None, [.. extents], []));
        Assert.Null(host.Expect<OperationDone>().Refusal);
    }

    private LentExtent Map(HostConnection host, Extent extent)
    {
        var (lent, descriptors) = _lender.Lend(extent);
        host.Say(new Operate(++_operation, WorkerOperationKind.Map, new Epoch(1, 1), _operation, EngineStep.None, [lent], []), descriptors);
        Array.ForEach(descriptors, d => d.Dispose());
        Assert.Null(host.Expect<OperationDone>().Refusal);
        return lent;
    }
}
