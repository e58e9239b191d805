using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Kvcached.Gpu.Tests.Support;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Tests.HostMemory;

/// <summary>Where main memory is stricter than a driver, and what it must not believe of others.</summary>
public sealed class HostVirtualMemoryTests : IDisposable
{
    private const int Page = 4096;
    private const int AllSeals = Libc.F_SEAL_SEAL | Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW;

    private readonly HostVirtualMemory _memory =
        new(new HostVirtualMemoryOptions { CapacityBytes = 16 * Page, GranularityBytes = Page });

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void TryCreate_BeyondTheCapacity_IsOutOfMemoryUntilBytesAreReleasedAndUnmapped()
    {
        using var arena = _memory.Reserve(16 * Page);
        Assert.True(_memory.TryCreate(16 * Page, out var all));
        Assert.False(_memory.TryCreate(Page, out _));
        _memory.Map(arena.BaseAddress, 16 * Page, 0, all);
        _memory.Release(all);
        Assert.Equal(16 * Page, _memory.CreatedBytes);
        Assert.False(_memory.TryCreate(Page, out _));
        _memory.Unmap(arena.BaseAddress, 16 * Page);
        Assert.Equal(0, _memory.CreatedBytes);
        Assert.True(_memory.TryCreate(Page, out _));
    }

    [Fact]
    public void Map_LessThanTheWholeMemory_IsRefused()
    {
        using var arena = _memory.Reserve(2 * Page);
        Assert.True(_memory.TryCreate(2 * Page, out var handle));
        Refused(DriverCode.InvalidValue, () => _memory.Map(arena.BaseAddress, Page, 0, handle));
    }

    [Fact]
    public void Map_AtAnUnalignedAddress_IsRefused()
    {
        using var arena = _memory.Reserve(4 * Page);
        Assert.True(_memory.TryCreate(Page, out var handle));
        Refused(DriverCode.InvalidValue, () => _memory.Map(arena.BaseAddress + 512, Page, 0, handle));
    }

    [Fact]
    public void UnmapAndSetAccess_OverAGapOrPartOfAMapping_AreRefused()
    {
        using var arena = _memory.Reserve(8 * Page);
        MapPages(arena, 0, 2);
        MapPages(arena, 3, 2);
        foreach (var (first, count) in ((int, int)[])[(0, 1), (1, 1), (0, 3), (0, 5), (0, 4), (1, 4), (2, 1), (7, 1), (7, 4)])
        {
            var address = arena.BaseAddress + (first * Page);
            Refused(DriverCode.InvalidValue, () => _memory.Unmap(address, count * Page));
            Refused(DriverCode.InvalidValue, () => _memory.SetAccess(address, count * Page, MemoryAccess.Read));
        }

        Refused(DriverCode.InvalidValue, () => _memory.SetAccess(arena.BaseAddress, 2 * Page, (MemoryAccess)2));
    }

    [Fact]
    public void SetAccess_Read_ForbidsWriting()
    {
        using var arena = _memory.Reserve(Page);
        MapPages(arena, 0, 1);
        _memory.SetAccess(arena.BaseAddress, Page, MemoryAccess.Read);
        Assert.Equal(MemoryAccess.Read, new HostRig(Page).AccessOf(arena.BaseAddress));
        _memory.SetAccess(arena.BaseAddress, Page, MemoryAccess.None);
        Assert.Equal(MemoryAccess.None, new HostRig(Page).AccessOf(arena.BaseAddress));
    }

    [Fact]
    public void Release_TwiceOrForeign_IsRefused()
    {
        Assert.True(_memory.TryCreate(Page, out var handle));
        _memory.Release(handle);
        Refused(DriverCode.InvalidValue, () => _memory.Release(handle));
        Refused(DriverCode.InvalidValue, () => _memory.Release(new MemoryHandle(999)));
        Refused(DriverCode.InvalidValue, () => _memory.Export(handle));
        using var arena = _memory.Reserve(Page);
        Refused(DriverCode.InvalidValue, () => _memory.Map(arena.BaseAddress, Page, 0, handle));
    }

    [Fact]
    public void Import_SealedMemoryOfTheRightSize_IsTheOnlyThingBelieved()
    {
        using (var good = Sealed(2 * Page, AllSeals))
        {
            _memory.Release(_memory.Import(good, 2 * Page));
            Refused(DriverCode.InvalidValue, () => _memory.Import(good, Page));
            Refused(DriverCode.InvalidValue, () => _memory.Import(good, 3 * Page));
        }

        foreach (var seals in (int[])[0, Libc.F_SEAL_SHRINK, Libc.F_SEAL_GROW | Libc.F_SEAL_SHRINK, AllSeals & ~Libc.F_SEAL_SHRINK, AllSeals | Libc.F_SEAL_WRITE, AllSeals | Libc.F_SEAL_FUTURE_WRITE])
        {
            using var bad = Sealed(2 * Page, seals);
            Refused(DriverCode.InvalidValue, () => _memory.Import(bad, 2 * Page));
        }
    }

    [Fact]
    public void Import_ReadOnlyDescriptorOrFileOrPipe_IsRefused()
    {
        using (var good = Sealed(Page, AllSeals))
        using (var readOnly = File.OpenHandle($"/proc/self/fd/{good.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite))
        {
            Refused(DriverCode.InvalidValue, () => _memory.Import(readOnly, Page));
        }

        using var file = File.OpenHandle(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);
        RandomAccess.SetLength(file, Page);
        Refused(DriverCode.InvalidValue, () => _memory.Import(file, Page));
    }

    [Fact]
    public void Exported_Descriptor_CannotBeShrunkByItsReceiver()
    {
        Assert.True(_memory.TryCreate(Page, out var handle));
        using var descriptor = _memory.Export(handle);
        Assert.NotEqual(0, Libc.ftruncate(descriptor, 0));
        Assert.NotEqual(0, Libc.ftruncate(descriptor, 2 * Page));
    }

    [Fact]
    public void Free_Twice_IsABug()
    {
        var arena = _memory.Reserve(Page);
        _memory.Free(arena);
        Assert.Throws<ObjectDisposedException>(() => _memory.Free(arena));
        arena.Dispose();
    }

    [Fact]
    public void Reserve_MoreThanThereAreAddresses_IsOutOfMemory()
    {
        Refused(DriverCode.OutOfMemory, () => _memory.Reserve(1L << 48));
        Refused(DriverCode.OutOfMemory, () => _memory.Reserve(long.MaxValue / Page * Page));
        Refused(DriverCode.InvalidValue, () => _memory.Reserve(Page + 1));
    }

    [Fact]
    public void Dispose_WithThingsLeft_LeavesNothingBehind()
    {
        var before = ProcessCounts.Now();
        using (var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { CapacityBytes = ByteSize.MiB, GranularityBytes = Page, IsCommitted = true }))
        {
            var arena = memory.Reserve(4 * Page);
            Assert.True(memory.TryCreate(2 * Page, out var handle));
            memory.Map(arena.BaseAddress, 2 * Page, 0, handle);
            Assert.NotEqual(before, ProcessCounts.Now());
        }

        Assert.Equal(before, ProcessCounts.Now());
    }

    [Fact]
    public unsafe void TryReserveReadable_AddressesWithoutMemory_ReadAsZeroesAndKeepEveryRule()
    {
        Assert.True(_memory.TryReserveReadable(4 * Page, out var arena));
        var bytes = new Span<byte>((void*)arena.BaseAddress, 4 * Page);
        Assert.False(bytes.ContainsAnyExcept((byte)0));
        MapPages(arena, 1, 2);
        bytes.Slice(Page, 2 * Page).Fill(7);
        Refused(DriverCode.InvalidValue, () => _memory.Unmap(arena.BaseAddress + Page, Page));
        Refused(DriverCode.InvalidValue, () => _memory.Free(arena));
        Assert.False(bytes[..Page].ContainsAnyExcept((byte)0) || bytes[(3 * Page)..].ContainsAnyExcept((byte)0));
        Assert.Equal(MemoryAccess.Read, new HostRig(Page).AccessOf(arena.BaseAddress));
        _memory.Unmap(arena.BaseAddress + Page, 2 * Page);
        Assert.False(bytes.ContainsAnyExcept((byte)0));
        Assert.Equal((0, MemoryAccess.Read), (_memory.CreatedBytes, new HostRig(Page).AccessOf(arena.BaseAddress + Page)));
        _memory.Free(arena);
    }

    [Fact]
    public void Ids_OfGpus_CannotNameMainMemory() =>
        Assert.Throws<ArgumentException>(() => new HostVirtualMemory(new HostVirtualMemoryOptions { Gpu = GpuId.Parse("GPU-1") }));

    private static SafeFileHandle Sealed(long byteCount, int seals)
    {
        var descriptor = new SafeFileHandle(Libc.memfd_create("test", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING), ownsHandle: true);
        Assert.Equal(0, Libc.ftruncate(descriptor, byteCount));
        Assert.Equal(0, seals == 0 ? 0 : Libc.fcntl(descriptor, Libc.F_ADD_SEALS, seals));
        return descriptor;
    }

    private static void Refused(DriverCode code, Action call) => Assert.Equal(code, Assert.Throws<VirtualMemoryException>(call).Code);

    private void MapPages(AddressReservation arena, int first, int count)
    {
        Assert.True(_memory.TryCreate(count * Page, out var handle));
        _memory.Map(arena.BaseAddress + (first * Page), count * Page, 0, handle);
        _memory.SetAccess(arena.BaseAddress + (first * Page), count * Page, MemoryAccess.ReadWrite);
        _memory.Release(handle);
    }
}
