using Kvcached.Client.Threads;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client;

/// <summary>What belongs to this process alone, how a forked child rids itself of it, and what went wrong out of sight.</summary>
public static unsafe class KvProcess
{
    private static readonly ForkTable s_table = new(1 << 18);

    /// <summary>
    /// Something failed on a thread of the library that nobody waits for: a handler of one of its events threw, or a bug. Handlers must not throw.
    /// </summary>
    public static event Action<Exception>? ProblemReported;

    /// <summary>
    /// Descriptors that a forked child must close (those of <c>exec</c> are closed by the kernel): <see cref="DescriptorCapacity"/> numbers at a
    /// fixed address, 0 where there is none. Never moves and takes no lock, so that an at-fork handler may walk it.
    /// </summary>
    public static int* DescriptorsToCloseInChild => s_table.Slots;

    /// <summary>Length of <see cref="DescriptorsToCloseInChild"/>.</summary>
    public static int DescriptorCapacity => s_table.Capacity;

    /// <summary>Where the number of slots that were ever used stands: a handler need not look further.</summary>
    public static int* DescriptorsEverUsed => s_table.UsedCount;

    internal static void Enter(SafeFileHandle descriptor) => s_table.Enter((int)descriptor.DangerousGetHandle());

    /// <summary>Takes a descriptor out of the table and closes it. In this order: its number may be another file's at once.</summary>
    internal static void Close(SafeFileHandle descriptor)
    {
        if (!descriptor.IsClosed && !descriptor.IsInvalid)
        {
            s_table.Leave((int)descriptor.DangerousGetHandle());
        }

        descriptor.Dispose();
    }

    internal static void Report(Exception problem)
    {
        try
        {
            ProblemReported?.Invoke(problem);
        }
#pragma warning disable CA1031 // A handler that throws is the caller's bug, and must not end this process.
        catch
#pragma warning restore CA1031
        {
            // There is nobody left to tell.
        }
    }

    /// <summary>Runs it; what escapes is reported.</summary>
    internal static void Guard(Action action)
    {
        try
        {
            action();
        }
#pragma warning disable CA1031 // The point of the guard: no exception may end the engine's process.
        catch (Exception problem)
#pragma warning restore CA1031
        {
            Report(problem);
        }
    }
}
