namespace Kvcached.Gpu.Tests.Support;

/// <summary>What this process holds of the host backend's memory, as the kernel sees it.</summary>
/// <param name="DescriptorCount">Open file descriptors of sealed memory.</param>
/// <param name="MappingCount">Mappings of it.</param>
public readonly record struct ProcessCounts(int DescriptorCount, int MappingCount)
{
    private const string Mark = "memfd:kvcached";

    public static ProcessCounts Now() => new(
        Directory.EnumerateFiles("/proc/self/fd").Count(f => new FileInfo(f).LinkTarget?.Contains(Mark, StringComparison.Ordinal) == true),
        File.ReadLines("/proc/self/maps").Count(l => l.Contains(Mark, StringComparison.Ordinal)));
}
