using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Tests.Memory;

public sealed class FileDescriptorBudgetTests
{
    [Fact]
    public void TryTake_MoreThanIsLeft_TakesNothing()
    {
        var budget = new FileDescriptorBudget(10);
        Assert.True(budget.TryTake(7));
        Assert.False(budget.TryTake(4));
        Assert.Equal(7, budget.UsedCount);
        budget.Return(7);
        Assert.True(budget.TryTake(10));
        Assert.Contains("10 of 10", budget.Explain(1), StringComparison.Ordinal);
    }

    [Fact]
    public void Return_MoreThanWasTaken_IsABug() => Assert.Throws<InvalidOperationException>(() => new FileDescriptorBudget(1).Return(1));

    [Fact]
    public void TryTake_FromManyThreads_NeverExceedsTheLimit()
    {
        var budget = new FileDescriptorBudget(1000);
        var taken = 0;
        Parallel.For(0, 5000, _ => Interlocked.Add(ref taken, budget.TryTake(1) ? 1 : 0));
        Assert.Equal((1000, 1000), (taken, budget.UsedCount));
    }

    [Fact]
    public void ForProcess_SoftLimit_IsRaisedToTheHardOne()
    {
        Assert.Equal(0, Libc.getrlimit(Libc.RLIMIT_NOFILE, out var original));
        var lowered = original with { Soft = Math.Min(original.Hard, 4096) };
        Assert.Equal(0, Libc.setrlimit(Libc.RLIMIT_NOFILE, lowered));
        try
        {
            var budget = FileDescriptorBudget.ForProcess();
            Assert.Equal(0, Libc.getrlimit(Libc.RLIMIT_NOFILE, out var raised));
            Assert.Equal(original.Hard, raised.Soft);
            Assert.Equal((long)Math.Min(original.Hard, int.MaxValue) - FileDescriptorBudget.HeadroomCount, budget.LimitCount);
        }
        finally
        {
            Assert.Equal(0, Libc.setrlimit(Libc.RLIMIT_NOFILE, original));
        }
    }

    [Fact]
    public void TryDuplicateHigh_NoRoomAboveTheLowOnes_SaysWhatToRaise()
    {
        Assert.Equal(0, Libc.getrlimit(Libc.RLIMIT_NOFILE, out var original));
        Assert.Equal(0, Libc.setrlimit(Libc.RLIMIT_NOFILE, original with { Soft = FileDescriptors.HighestSelectable }));
        try
        {
            using var file = File.OpenHandle("/dev/null");
            Assert.False(FileDescriptors.TryDuplicateHigh(file, out _, out var problem));
            Assert.Contains("ulimit -n", problem, StringComparison.Ordinal);
        }
        finally
        {
            Assert.Equal(0, Libc.setrlimit(Libc.RLIMIT_NOFILE, original));
        }
    }
}
