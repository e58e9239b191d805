using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Tests.Support;

namespace Kvcached.Gpu.Tests.Faults;

public sealed class FaultInjectingVirtualMemoryTests
{
    private const int Page = 4096;

    private readonly ManualTime _time = new();

    [Fact]
    public void FailNth_OfAnOperation_FailsThatCallAlone()
    {
        using var memory = Open();
        Assert.True(memory.TryCreate(Page, out _));
        memory.FailNth(VirtualMemoryOperation.Create, 2, DriverCode.NotPermitted);
        using (memory.Reserve(Page))
        {
            Assert.True(memory.TryCreate(Page, out _));
            var error = Assert.Throws<VirtualMemoryException>(() => memory.TryCreate(Page, out _));
            Assert.Equal((DriverCode.NotPermitted, VirtualMemoryOperation.Create), (error.Code, error.Operation));
            Assert.True(memory.TryCreate(Page, out _));
        }

        Assert.Equal((4, 5), (memory.CallCount(VirtualMemoryOperation.Create), memory.TotalCallCount));
        Assert.Equal(3, memory.Live.HandleCount);
    }

    [Fact]
    public void FailNth_OfAnyOperation_CountsThemTogether()
    {
        using var memory = Open();
        memory.FailNth(null, 2, DriverCode.Unknown);
        var arena = memory.Reserve(Page);
        Assert.Throws<VirtualMemoryException>(() => memory.Free(arena));
        memory.Free(arena);
        Assert.Equal(default, memory.Live);
    }

    [Fact]
    public void FailNth_CreateWithOutOfMemory_AnswersAsADriverWould()
    {
        using var memory = Open();
        memory.FailNth(VirtualMemoryOperation.Create, 1, DriverCode.OutOfMemory);
        Assert.False(memory.TryCreate(Page, out _));
        Assert.True(memory.TryCreate(Page, out _));
    }

    [Fact]
    public void FailAll_UntilHealed_FailsEveryCall()
    {
        using var memory = Open();
        memory.FailAll(VirtualMemoryOperation.Reserve, DriverCode.Unknown);
        Assert.Throws<VirtualMemoryException>(() => memory.Reserve(Page));
        Assert.Throws<VirtualMemoryException>(() => memory.Reserve(Page));
        memory.Heal();
        memory.Free(memory.Reserve(Page));
    }

    [Fact]
    public async Task HangNth_UntilReleased_HoldsTheCallAndNoOther()
    {
        using var memory = Open();
        using var hanging = memory.HangNth(VirtualMemoryOperation.Create, 1);
        var call = Task.Run(() => memory.TryCreate(Page, out _));
        await hanging.Reached;
        Assert.False(call.IsCompleted);
        Assert.True(memory.TryCreate(Page, out _));
        Assert.Equal(1, memory.Live.HandleCount);
        hanging.Release();
        Assert.True(await call);
        Assert.Equal(2, memory.Live.HandleCount);
    }

    [Fact]
    public async Task DelayAll_ByTheGivenClock_HoldsTheCall()
    {
        using var memory = Open();
        memory.DelayAll(VirtualMemoryOperation.Create, TimeSpan.FromMinutes(5));
        var call = Task.Run(() => memory.TryCreate(Page, out _));
        await _time.FirstTimer;
        Assert.Equal(0, memory.Live.HandleCount);
        _time.Advance(TimeSpan.FromMinutes(5));
        Assert.True(await call);
        Assert.Equal(1, memory.Live.HandleCount);
    }

    private FaultInjectingVirtualMemory Open() => new(new HostRig(Page).OpenBare(), _time);
}
