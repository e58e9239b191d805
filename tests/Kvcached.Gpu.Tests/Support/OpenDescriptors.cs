namespace Kvcached.Gpu.Tests.Support;

/// <summary>What this process has open, as the kernel sees it.</summary>
internal static class OpenDescriptors
{
    public static int Count() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();
}
