using ScottPlot;
using SkiaSharp;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>The font of charts, which comes with the program: many machines with GPUs have none, and text would be missing.</summary>
internal sealed class ChartFont : IFontResolver
{
    /// <summary>Name under which the plotting library finds it.</summary>
    public const string Family = "kvcached chart";

    private static readonly Lazy<bool> Registered = new(() =>
    {
        Fonts.FontResolvers.Insert(0, new ChartFont());
        return true;
    });

    private ChartFont()
    {
    }

    /// <summary>Makes the font known. Any number of times, from any thread.</summary>
    public static bool Register() => Registered.Value;

    public SKTypeface? CreateTypeface(string fontName, FontWeight weight, FontSlant slant, FontSpacing spacing)
    {
        if (fontName != Family)
        {
            return null;
        }

        using var font = typeof(ChartFont).Assembly.GetManifestResourceStream("chart.ttf")
            ?? throw new InvalidOperationException("The program was built without its chart font.");
        return SKTypeface.FromStream(font);
    }

    public SKTypeface? CreateTypeface(string fontName, bool bold, bool italic) =>
        CreateTypeface(fontName, FontWeight.Normal, FontSlant.Upright, FontSpacing.Normal);
}
