using System.Globalization;

namespace Kvcached.Core.Units;

/// <summary>Reads and writes amounts of memory as people do: <c>40GiB</c>, <c>512MiB</c>, <c>2097152</c>.</summary>
public static class ByteSize
{
    public const long KiB = 1L << 10;
    public const long MiB = 1L << 20;
    public const long GiB = 1L << 30;
    public const long TiB = 1L << 40;

    private static readonly (string Suffix, long Factor)[] Suffixes =
    [
        ("TiB", TiB), ("GiB", GiB), ("MiB", MiB), ("KiB", KiB),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000),
        ("T", TiB), ("G", GiB), ("M", MiB), ("K", KiB),
        ("t", TiB), ("g", GiB), ("m", MiB), ("k", KiB), ("b", 1), ("B", 1),
    ];

    /// <summary>
    /// Reads a non-negative amount: a number, with a fraction if a unit follows, and one of B, KiB, MiB, GiB, TiB (powers of
    /// 1024), kB, MB, GB, TB (powers of 1000), or K, M, G, T, k, m, g, t, which mean powers of 1024.
    /// </summary>
    public static bool TryParse(string? text, out long bytes)
    {
        bytes = 0;
        var trimmed = (text ?? string.Empty).Trim();
        var factor = 1L;
        foreach (var (suffix, value) in Suffixes)
        {
            if (trimmed.EndsWith(suffix, StringComparison.Ordinal))
            {
                factor = value;
                trimmed = trimmed[..^suffix.Length].TrimEnd();
                break;
            }
        }

        var style = factor == 1 ? NumberStyles.None : NumberStyles.AllowDecimalPoint;
        if (!decimal.TryParse(trimmed, style, CultureInfo.InvariantCulture, out var number)
            || number > (decimal)long.MaxValue / factor)
        {
            return false;
        }

        bytes = (long)(number * factor);
        return true;
    }

    /// <summary>Writes an amount with the largest binary unit that keeps it at least 1, with at most two decimals: <c>1.5 GiB</c>.</summary>
    public static string Format(long bytes)
    {
        var magnitude = bytes == long.MinValue ? long.MaxValue : Math.Abs(bytes);
        foreach (var (suffix, factor) in Suffixes.AsSpan(0, 4))
        {
            if (magnitude >= factor)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / factor:0.##} {suffix}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{bytes} B");
    }
}
