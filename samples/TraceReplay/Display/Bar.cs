using System.Text;

namespace Kvcached.TraceReplay.Display;

/// <summary>A bar of stacked parts, as markup.</summary>
internal static class Bar
{
    /// <summary>
    /// A bar of <paramref name="width"/> cells that stands for <paramref name="total"/>: each part takes its share in its colour, rounded so
    /// that the parts together are as long as their sum, and the rest is dim.
    /// </summary>
    public static string Markup(IReadOnlyList<(long Value, string Colour)> parts, long total, int width)
    {
        var text = new StringBuilder();
        var used = 0;
        long sum = 0;
        foreach (var (value, colour) in parts)
        {
            sum += Math.Max(0, value);
            var end = total <= 0 ? 0 : (int)Math.Clamp(Math.Round((double)sum / total * width), used, width);
            if (end > used)
            {
                text.Append('[').Append(colour).Append(']').Append('█', end - used).Append("[/]");
            }

            used = end;
        }

        return used < width ? text.Append("[grey35]").Append('░', width - used).Append("[/]").ToString() : text.ToString();
    }
}
