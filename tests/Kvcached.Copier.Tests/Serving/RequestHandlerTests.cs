using System.Collections.Immutable;
using Kvcached.Copier.Serving;
using Kvcached.Copier.Working;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Tests.Serving;

public sealed class RequestHandlerTests : IDisposable
{
    private static readonly Extent Pages = new(0, new PageId(4), 1, 3);

    private readonly FaultInjectingVirtualMemory _memory = new(
        new HostVirtualMemory(new HostVirtualMemoryOptions { Gpu = TestPool.Gpu, GranularityBytes = 4096 }), TimeProvider.System);

    private readonly RequestHandler _handler;
    private readonly TestPool _pool = new(TestPool.GeometryOf(KvLayout.PerLayer));

    public RequestHandlerTests() => _handler = new RequestHandler(_memory, new HostBlockWorker());

    [Fact]
    public void Handle_BeforeHello_IsRefused() => Refuse(CopierRefusal.OutOfTurn, new Detach(_pool.Id));

    [Fact]
    public void Handle_HelloThatDoesNotFit_IsRefused()
    {
        Refuse(CopierRefusal.VersionMismatch, new Hello(CopierProtocol.Version + 1, CopierBackend.Host, TestPool.Gpu));
        Refuse(CopierRefusal.WrongDevice, new Hello(CopierProtocol.Version, CopierBackend.Cuda, TestPool.Gpu));
        Refuse(CopierRefusal.WrongDevice, new Hello(CopierProtocol.Version, CopierBackend.Host, GpuId.Parse("HOST-8")));
        Open();
        Refuse(CopierRefusal.OutOfTurn, new Hello(CopierProtocol.Version, CopierBackend.Host, TestPool.Gpu));
    }

    [Fact]
    public void Handle_PoolNotAttached_IsRefused()
    {
        Open();
        Refuse(CopierRefusal.UnknownPool, new Map(_pool.Id, Pages, 0, 1, 1));
        Refuse(CopierRefusal.UnknownPool, new Drop(_pool.Id, Pages));
        Refuse(CopierRefusal.UnknownPool, new Stamp(_pool.Id, 0, []));
        Refuse(CopierRefusal.UnknownPool, new Verify(_pool.Id, 0, []));
        Refuse(CopierRefusal.UnknownPool, new Checksum(_pool.Id, Pages));
        Refuse(CopierRefusal.UnknownPool, new Detach(_pool.Id));
    }

    [Fact]
    public void Handle_AttachThatCannotBe_IsRefusedAndReservesNothing()
    {
        Open();
        var shape = _pool.Geometry.Ranks[0];
        Refuse(CopierRefusal.BadGeometry, new Attach(_pool.Id, 0, _pool.Geometry with { LayersPerMapping = 9 }));
        Refuse(CopierRefusal.BadGeometry, new Attach(_pool.Id, 0, _pool.Geometry with { Layout = (KvLayout)77 }));
        Refuse(CopierRefusal.BadGeometry, new Attach(_pool.Id, 0, new PoolGeometry(KvLayout.Contiguous, 0, [], [shape with { Groups = [] }])));
        Refuse(CopierRefusal.WrongDevice, new Attach(_pool.Id, 0, _pool.Geometry with { Ranks = [shape with { Gpu = GpuId.Parse("HOST-9") }] }));
        var large = shape.Groups[0] with { BlockBytes = 1L << 31, PageBytes = 1L << 32 };
        Refuse(CopierRefusal.BadGeometry, new Attach(_pool.Id, 0, new PoolGeometry(KvLayout.Contiguous, 0, [2], [shape with { Groups = [large] }])));
        _memory.FailAll(VirtualMemoryOperation.Reserve, DriverCode.OutOfMemory);
        Refuse(CopierRefusal.OutOfMemory, new Attach(_pool.Id, 0, _pool.Geometry));
        Assert.Equal(default, _memory.Live);

        _memory.Heal();
        Do(new Attach(_pool.Id, 0, _pool.Geometry));
        Refuse(CopierRefusal.PoolAttached, new Attach(_pool.Id, 0, _pool.Geometry));
        Assert.Equal(1, _memory.Live.ReservationCount);
    }

    [Fact]
    public void Handle_MapThatCannotBe_IsRefusedAndMapsNothing()
    {
        Attach();
        var lent = _pool.Lend(Pages);
        RefuseMap(CopierRefusal.BadExtent, Pages with { First = new PageId(3) }, lent);
        RefuseMap(CopierRefusal.BadExtent, Pages with { Order = 31 }, lent);
        RefuseMap(CopierRefusal.BadExtent, Pages with { Group = 2 }, lent);
        RefuseMap(CopierRefusal.BadExtent, Pages with { Group = -1 }, lent);
        RefuseMap(CopierRefusal.BadExtent, Pages with { First = new PageId(32) }, lent);
        RefuseMap(CopierRefusal.WrongDescriptorCount, Pages, lent.Skip(1));
        RefuseMap(CopierRefusal.BadDescriptor, Pages with { Order = 0 }, lent);
        using var file = File.OpenHandle(typeof(RequestHandlerTests).Assembly.Location);
        RefuseMap(CopierRefusal.BadDescriptor, Pages, [.. lent.SkipLast(1), file]);
        Assert.Equal((0, 0), (_memory.Live.MappingCount, _memory.Live.HandleCount));

        DoMap(Pages, lent);
        RefuseMap(CopierRefusal.ExtentOverlaps, new Extent(0, new PageId(5), 0, 4), lent);
        RefuseMap(CopierRefusal.ExtentOverlaps, new Extent(0, new PageId(0), 3, 4), lent);
        Assert.Equal((6, 6), (_memory.Live.MappingCount, _memory.Live.HandleCount));
    }

    [Theory]
    [InlineData(VirtualMemoryOperation.Import)]
    [InlineData(VirtualMemoryOperation.Map)]
    [InlineData(VirtualMemoryOperation.SetAccess)]
    public void Handle_MapFailsAtAnyStep_IsUndone(VirtualMemoryOperation operation)
    {
        Attach();
        var lent = _pool.Lend(Pages);
        for (var failing = 1; failing <= lent.Count; failing++)
        {
            _memory.FailNth(operation, failing, DriverCode.Unknown);
            RefuseMap(operation == VirtualMemoryOperation.Import ? CopierRefusal.BadDescriptor : CopierRefusal.DeviceFailed, Pages, lent);
            Assert.Equal((0, 0), (_memory.Live.MappingCount, _memory.Live.HandleCount));
            _memory.Heal();
        }

        DoMap(Pages, lent);
    }

    [Theory]
    [InlineData(VirtualMemoryOperation.Unmap)]
    [InlineData(VirtualMemoryOperation.Release)]
    public void Handle_DropFails_EndsTheCopier(VirtualMemoryOperation operation)
    {
        Attach();
        DoMap(Pages, _pool.Lend(Pages));
        _memory.FailAll(operation, DriverCode.Unknown);
        Assert.Contains("can't be let go of", Assert.Throws<MemoryStuckException>(() => _handler.Handle(new Drop(_pool.Id, Pages), [])).Message);
        _memory.Heal();
    }

    [Fact]
    public void Handle_ExtentOfAnotherGeneration_IsStale()
    {
        Attach();
        DoMap(Pages, _pool.Lend(Pages));
        Refuse(CopierRefusal.StaleExtent, new Drop(_pool.Id, Pages with { Generation = 2 }));
        Refuse(CopierRefusal.StaleExtent, new Checksum(_pool.Id, Pages with { Generation = 4 }));
        Refuse(CopierRefusal.UnknownExtent, new Drop(_pool.Id, Pages with { First = new PageId(6) }));
        Refuse(CopierRefusal.UnknownExtent, new Drop(_pool.Id, new Extent(0, new PageId(4), 0, 3)));
        Refuse(CopierRefusal.UnknownExtent, new Drop(_pool.Id, Pages with { Group = 40 }));
        Assert.Equal(6, _memory.Live.MappingCount);
        Do(new Drop(_pool.Id, Pages));
        Refuse(CopierRefusal.UnknownExtent, new Drop(_pool.Id, Pages));
        Assert.Equal(0, _memory.Live.MappingCount);
    }

    [Fact]
    public void Handle_BadBlocks_AreRefusedAndNothingIsWritten()
    {
        Attach();
        DoMap(Pages, _pool.Lend(Pages));
        var good = _pool.StampsOf(Pages, 1);
        RefuseStamps(CopierRefusal.UnknownGroup, 2, good);
        RefuseStamps(CopierRefusal.BadBlock, 0, good.Add(good[0]));
        RefuseStamps(CopierRefusal.BadBlock, 0, good.Add(good[0] with { Block = new BlockId(-1) }));
        RefuseStamps(CopierRefusal.BadBlock, 0, good.Add(good[0] with { Block = new BlockId(64) }));
        RefuseStamps(CopierRefusal.BadBlock, 0, good.Add(good[0] with { Block = new BlockId(int.MaxValue) }));
        RefuseStamps(CopierRefusal.BlockNotMapped, 0, good.Add(good[0] with { Block = new BlockId(7) }));
        RefuseStamps(CopierRefusal.BlockNotMapped, 0, good.Add(good[0] with { Block = new BlockId(12) }));
        RefuseStamps(CopierRefusal.BadBlock, 1, [new BlockStamp(new BlockId(3), 1, false)]);
        Assert.Equal(-1, _pool.BytesOf(0, good[0].Block, 0, 0).IndexOfAnyExcept((byte)0));
        Do(new Stamp(_pool.Id, 0, []));
    }

    [Fact]
    public void Handle_MoreMismatchesThanAreDescribed_AreCounted()
    {
        Attach();
        var large = new Extent(0, new PageId(0), 5, 1);
        DoMap(large, _pool.Lend(large));
        Assert.Equal(64, _pool.StampsOf(large, 1).Length);
        var second = new TestPool(_pool.Geometry, id: 2);
        Do(new Attach(second.Id, 0, second.Geometry));
        var report = ((Verified)_handler.Handle(new Verify(_pool.Id, 0, _pool.StampsOf(large, 1)), [])).Report;
        Assert.Equal((64, 64, 64), (report.BlockCount, report.MismatchingBlockCount, report.Mismatches.Length));
        Assert.Equal(65, report.With(report with { BlockCount = 1, MismatchingBlockCount = 1 }).MismatchingBlockCount);
        Assert.Equal(VerifyReport.MaxMismatches, report.With(report).Mismatches.Length);
        second.Dispose();
    }

    [Fact]
    public void Handle_DetachAndExit_LeaveNothing()
    {
        Attach();
        DoMap(Pages, _pool.Lend(Pages));
        using var second = new TestPool(TestPool.GeometryOf(KvLayout.Contiguous), id: 2);
        Do(new Attach(second.Id, 0, second.Geometry));
        Do(new Detach(_pool.Id));
        Assert.Equal((1, 0), (_memory.Live.ReservationCount, _memory.Live.HandleCount));
        Do(new Exit());
        Assert.Equal(default, _memory.Live);
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pool.Dispose();
    }

    private void Open() => Assert.IsType<HelloAccepted>(_handler.Handle(new Hello(CopierProtocol.Version, CopierBackend.Host, TestPool.Gpu), []));

    private void Attach()
    {
        Open();
        Do(new Attach(_pool.Id, 0, _pool.Geometry));
    }

    private void Do(IRequest request) => Assert.IsType<Done>(_handler.Handle(request, []));

    private void DoMap(Extent extent, IReadOnlyList<SafeFileHandle> lent) =>
        Assert.IsType<Done>(_handler.Handle(new Map(_pool.Id, extent, 0, lent.Count, lent.Count), lent));

    private void Refuse(CopierRefusal reason, IRequest request) =>
        Assert.Equal(reason, Assert.IsType<Refused>(_handler.Handle(request, [])).Reason);

    private void RefuseMap(CopierRefusal reason, Extent extent, IEnumerable<SafeFileHandle> lent)
    {
        var descriptors = lent.ToArray();
        Assert.Equal(reason, Assert.IsType<Refused>(_handler.Handle(new Map(_pool.Id, extent, 0, descriptors.Length, descriptors.Length), descriptors)).Reason);
    }

    private void RefuseStamps(CopierRefusal reason, int group, ImmutableArray<BlockStamp> stamps)
    {
        Refuse(reason, new Stamp(_pool.Id, group, stamps));
        Refuse(reason, new Verify(_pool.Id, group, stamps));
    }
}
