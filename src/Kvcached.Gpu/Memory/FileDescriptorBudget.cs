using System.Runtime.InteropServices;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.Memory;

/// <summary>
/// How many file descriptors of memory this process may keep: every shared handle costs one here and one in the worker. Safe for
/// use by several threads.
/// </summary>
public sealed class FileDescriptorBudget
{
    /// <summary>Descriptors left to everything else: the low ones, sockets, files, and those in flight to a worker.</summary>
    public const int HeadroomCount = FileDescriptors.HighestSelectable + 512;

    private readonly int _limitCount;
    private int _usedCount;

    /// <param name="limitCount">Descriptors that may be kept, from 0.</param>
    public FileDescriptorBudget(int limitCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(limitCount);
        _limitCount = limitCount;
    }

    /// <summary>Descriptors that may be kept.</summary>
    public int LimitCount => _limitCount;

    /// <summary>Descriptors that are kept now.</summary>
    public int UsedCount => Volatile.Read(ref _usedCount);

    /// <summary>
    /// Raises this process's soft limit of open files to the hard one and takes as budget what <see cref="HeadroomCount"/> leaves.
    /// </summary>
    public static FileDescriptorBudget ForProcess()
    {
        if (Libc.getrlimit(Libc.RLIMIT_NOFILE, out var limit) != 0)
        {
            throw new InvalidOperationException($"getrlimit failed: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");
        }

        if (limit.Soft < limit.Hard)
        {
            var raised = new ResourceLimit { Soft = limit.Hard, Hard = limit.Hard };
            if (Libc.setrlimit(Libc.RLIMIT_NOFILE, raised) == 0)
            {
                limit = raised;
            }
        }

        var openable = (int)Math.Min(limit.Soft, int.MaxValue);
        return new FileDescriptorBudget(Math.Max(0, openable - HeadroomCount));
    }

    /// <summary>Takes <paramref name="count"/> descriptors out of the budget, or none.</summary>
    public bool TryTake(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        var used = Volatile.Read(ref _usedCount);
        while (used + (long)count <= _limitCount)
        {
            var seen = Interlocked.CompareExchange(ref _usedCount, used + count, used);
            if (seen == used)
            {
                return true;
            }

            used = seen;
        }

        return false;
    }

    /// <summary>Gives descriptors back that were closed.</summary>
    public void Return(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (Interlocked.Add(ref _usedCount, -count) < 0)
        {
            throw new InvalidOperationException("More file descriptors were given back than were taken.");
        }
    }

    /// <summary>A sentence for the user whose request the budget refused.</summary>
    public string Explain(int count) =>
        $"{count} more file descriptors are needed, {UsedCount} of {LimitCount} are in use. Raise the limit of open files (ulimit -n, "
        + "LimitNOFILE in systemd), or use larger extents or the contiguous layout.";
}
