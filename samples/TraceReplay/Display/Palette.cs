namespace Kvcached.TraceReplay.Display;

/// <summary>One colour per engine, the same on the screen and in the chart, told apart by colour-blind readers too.</summary>
internal static class Palette
{
    private static readonly string[] Colours = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"];

    /// <summary>Colour of the fixed shares and of limits.</summary>
    public const string Limit = "#C0392B";

    /// <summary>Colour of the engine with that place in the plan, as <c>#rrggbb</c>.</summary>
    public static string Of(int engine) => Colours[engine % Colours.Length];
}
