using System.Globalization;
using Kvcached.Core.Units;

namespace Kvcached.Gpu.Devices;

/// <summary>
/// Main memory, as the kernel counts it: what isn't available counts as used. It knows nothing of a container's own limit.
/// </summary>
/// <param name="path">The file, in the format of <c>/proc/meminfo</c>.</param>
public sealed class MainMemoryMeter(string path = MainMemoryMeter.DefaultPath) : IDeviceMeter
{
    public const string DefaultPath = "/proc/meminfo";

    public bool TryRead(out DeviceUse use, out string problem)
    {
        use = default;
        problem = $"{path} doesn't say MemTotal and MemAvailable in kB.";
        long? total = null, available = null;
        try
        {
            foreach (var line in File.ReadLines(path))
            {
                total ??= KilobytesOf(line, "MemTotal:");
                available ??= KilobytesOf(line, "MemAvailable:");
            }
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            problem = $"{path} can't be read: {unreadable.Message}";
            return false;
        }

        if (total is not { } all || available is not { } left || left > all)
        {
            return false;
        }

        use = new DeviceUse(all * ByteSize.KiB, (all - left) * ByteSize.KiB);
        problem = string.Empty;
        return true;
    }

    private static long? KilobytesOf(string line, string name) =>
        line.StartsWith(name, StringComparison.Ordinal) && line.EndsWith(" kB", StringComparison.Ordinal)
        && long.TryParse(line.AsSpan(name.Length..^3), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out var kilobytes)
        && kilobytes <= long.MaxValue / ByteSize.KiB
            ? kilobytes
            : null;
}
