using Kvcached.Core.Units;

namespace Kvcached.Host.Options;

/// <summary>How much of its device a host keeps free beside what others use, and whether it looks at others at all.</summary>
/// <param name="IsOff">True when it doesn't look.</param>
/// <param name="Bytes">What it keeps free; null = as the device suggests.</param>
internal readonly record struct HeadroomChoice(bool IsOff, long? Bytes)
{
    public const string Allowed = "auto, off, or 0 and more, such as 2GiB";

    public static HeadroomChoice? TryParse(string text) => text switch
    {
        "auto" => default(HeadroomChoice),
        "off" => new HeadroomChoice(true, null),
        _ => ByteSize.TryParse(text, out var bytes) ? new HeadroomChoice(false, bytes) : null,
    };
}
