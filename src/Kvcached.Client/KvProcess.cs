namespace Kvcached.Client;

/// <summary>What belongs to this process alone, and how a forked child rids itself of it.</summary>
public static unsafe class KvProcess
{
    /// <summary>
    /// Descriptors that a forked child must close (those of <c>exec</c> are closed by the kernel): <see cref="DescriptorCapacity"/> numbers at a
    /// fixed address, 0 where there is none. Never moves and takes no lock, so that an at-fork handler may walk it.
    /// </summary>
    public static int* DescriptorsToCloseInChild => throw new NotImplementedException();

    /// <summary>Length of <see cref="DescriptorsToCloseInChild"/>.</summary>
    public static int DescriptorCapacity => throw new NotImplementedException();
}
