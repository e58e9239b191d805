using System.Globalization;
using Kvcached.Core.Units;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>What matters about the machine before anything is started.</summary>
/// <param name="GpuCount">NVIDIA GPUs that processes here may open.</param>
/// <param name="AvailableBytes">Main memory that can be used without swapping.</param>
internal sealed record MachineFacts(int GpuCount, long AvailableBytes)
{
    /// <summary>Looks at this machine.</summary>
    public static MachineFacts Read() => new(CountGpus("/dev"), ReadAvailableBytes("/proc/meminfo"));

    /// <summary>Counts the device nodes <c>nvidia0</c>, <c>nvidia1</c>, …: a container has those of its own GPUs only.</summary>
    internal static int CountGpus(string deviceDirectory) =>
        Directory.Exists(deviceDirectory)
            ? Directory.EnumerateFileSystemEntries(deviceDirectory, "nvidia*").Count(path => IsGpuNode(Path.GetFileName(path)))
            : 0;

    internal static long ReadAvailableBytes(string path)
    {
        const string Key = "MemAvailable:";
        var line = File.Exists(path) ? File.ReadLines(path).FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal)) : null;
        var number = line?[Key.Length..].Replace("kB", string.Empty, StringComparison.Ordinal).Trim();
        return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var kibibytes)
            ? kibibytes * ByteSize.KiB
            : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
    }

    private static bool IsGpuNode(string name) => name.Length > 6 && name.AsSpan(6).IndexOfAnyExceptInRange('0', '9') < 0;
}
