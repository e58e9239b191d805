using System.Globalization;
using Kvcached.Core.Ids;

namespace Kvcached.Host.Options;

/// <summary>Which device a host is told to serve.</summary>
internal abstract record GpuChoice
{
    /// <summary>Largest K of <c>none:K</c>.</summary>
    public const int MaxHostMemoryIndex = 1023;

    private const int MaxDeviceIndex = 255;

    /// <summary>The first GPU if there is one, else host memory.</summary>
    public sealed record Automatic : GpuChoice;

    /// <summary>No GPU; main memory under the id <c>HOST-K</c>.</summary>
    public sealed record HostMemory(int Index) : GpuChoice;

    /// <summary>The GPU of that index in the driver's order.</summary>
    public sealed record ByIndex(int Index) : GpuChoice;

    /// <summary>The GPU of that UUID.</summary>
    public sealed record ByUuid(GpuId Gpu) : GpuChoice;

    public static GpuChoice? TryParse(string text)
    {
        if (text == "auto")
        {
            return new Automatic();
        }

        if (text == "none")
        {
            return new HostMemory(0);
        }

        if (text.StartsWith("none:", StringComparison.Ordinal))
        {
            return TryParseIndex(text["none:".Length..], MaxHostMemoryIndex, out var hostIndex) ? new HostMemory(hostIndex) : null;
        }

        if (TryParseIndex(text, MaxDeviceIndex, out var index))
        {
            return new ByIndex(index);
        }

        return text.StartsWith("GPU-", StringComparison.Ordinal) && GpuId.TryParse(text, out var gpu) ? new ByUuid(gpu) : null;
    }

    private static bool TryParseIndex(string text, int max, out int index) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out index) && index <= max;
}
