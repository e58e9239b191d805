using System.Globalization;

namespace Kvcached.Core.Units;

/// <summary>Reads and writes times as HOCON does: <c>250ms</c>, <c>2 s</c>, <c>1.5m</c>, <c>1h</c>; a bare 0 needs no unit.</summary>
public static class DurationText
{
    private static readonly (string Suffix, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)];

    /// <summary>Reads a time; false when the text is none.</summary>
    public static bool TryParse(string text, out TimeSpan time)
    {
        time = TimeSpan.Zero;
        var trimmed = text.Trim();
        if (trimmed == "0")
        {
            return true;
        }

        foreach (var (suffix, seconds) in Units)
        {
            if (trimmed.EndsWith(suffix, StringComparison.Ordinal)
                && double.TryParse(trimmed[..^suffix.Length].TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                && number * seconds < TimeSpan.MaxValue.TotalSeconds)
            {
                time = TimeSpan.FromMilliseconds(Math.Round(number * seconds * 1000));
                return true;
            }
        }

        return false;
    }

    /// <summary>Writes a time with the largest unit that needs no fraction.</summary>
    public static string Format(TimeSpan time)
    {
        foreach (var (suffix, seconds) in Units.AsEnumerable().Reverse())
        {
            if (time.TotalSeconds >= seconds && time.TotalSeconds % seconds == 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds / seconds}{suffix}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds}ms");
    }
}
