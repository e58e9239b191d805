using System.Globalization;
using Kvcached.Core.Units;
using ScottPlot;
using Palette = Kvcached.TraceReplay.Display.Palette;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>Draws memory over time, stacked by model, against what fixed shares would take.</summary>
internal static class ChartWriter
{
    private const int WidthPixels = 1400;
    private const int HeightPixels = 700;

    /// <summary>Writes a PNG; an existing file is replaced.</summary>
    public static void Write(string path, RunRecorder recorder, RunSummary summary)
    {
        using var plot = new Plot();
        ChartFont.Register();
        plot.Font.Set(ChartFont.Family);
        var (unit, bytesPerUnit) = summary.StaticBytes >= 4 * ByteSize.GiB ? ("GiB", ByteSize.GiB) : ("MiB", ByteSize.MiB);
        double[] seconds = [.. recorder.Samples.Select(sample => sample.Elapsed.TotalSeconds)];
        var highest = Math.Max(summary.StaticBytes, summary.PeakMappedBytes) / (double)bytesPerUnit;
        AddStack(plot, recorder, seconds, bytesPerUnit);
        AddLive(plot, recorder, seconds, bytesPerUnit);
        AddStatic(plot, summary.StaticBytes / (double)bytesPerUnit, unit);

        plot.Axes.SetLimits(0, Math.Max(1, seconds.LastOrDefault()), 0, Math.Max(1, highest * 1.18));
        plot.XLabel("real time (s)", 15);
        plot.YLabel($"KV memory over all GPUs ({unit})", 15);
        plot.Title(Title(summary), 18);
        plot.Axes.Bottom.TickLabelStyle.FontSize = 13;
        plot.Axes.Left.TickLabelStyle.FontSize = 13;
        plot.Grid.MajorLineColor = Color.FromHex("#E6E6E6");
        plot.Axes.Right.FrameLineStyle.Width = 0;
        plot.Axes.Top.FrameLineStyle.Width = 0;
        var legend = plot.ShowLegend(Alignment.UpperLeft, Orientation.Horizontal);
        legend.FontSize = 14;
        legend.OutlineColor = Colors.Transparent;
        legend.ShadowColor = Colors.Transparent;
        legend.BackgroundColor = Colors.White.WithAlpha(0.8);
        plot.SavePng(path, WidthPixels, HeightPixels);
    }

    /// <summary>Each model's bytes on top of those before it.</summary>
    private static void AddStack(Plot plot, RunRecorder recorder, double[] seconds, long bytesPerUnit)
    {
        var below = new double[seconds.Length];
        for (var engine = 0; engine < recorder.Plan.Engines.Length; engine++)
        {
            var index = engine;
            double[] above = [.. recorder.Samples.Select((sample, at) => below[at] + (sample.MappedBytes[index] / (double)bytesPerUnit))];
            var colour = Color.FromHex(Palette.Of(engine));
            if (seconds.Length > 0)
            {
                var fill = plot.Add.FillY(seconds, below, above);
                fill.FillColor = colour.WithAlpha(0.75);
                fill.LineWidth = 0;
                fill.LegendText = recorder.Plan.Engines[engine].Name;
            }

            below = above;
        }
    }

    /// <summary>What of it held live blocks: the gap to the stack's edge is what elasticity costs.</summary>
    private static void AddLive(Plot plot, RunRecorder recorder, double[] seconds, long bytesPerUnit)
    {
        double[] live = [.. recorder.Samples.Select(sample => sample.LiveBytes.Sum() / (double)bytesPerUnit)];
        var line = plot.Add.ScatterLine(seconds, live, Color.FromHex("#222222"));
        line.LineWidth = 1.4f;
        line.LegendText = "in use by blocks";
    }

    private static void AddStatic(Plot plot, double level, string unit)
    {
        var line = plot.Add.HorizontalLine(level, 2.5f, Color.FromHex(Palette.Limit), LinePattern.Dashed);
        line.LegendText = string.Create(CultureInfo.InvariantCulture, $"fixed shares: {level:#,0.#} {unit}");
    }

    private static string Title(RunSummary summary) => string.Create(CultureInfo.InvariantCulture,
        $"{summary.Models.Length} models sharing {summary.Hosts} {(summary.Backend == Orchestration.RunPlan.CudaBackend ? "GPU" : "host")}{(summary.Hosts == 1 ? "" : "s")}: {summary.Requests:N0} requests, {summary.BlocksVerified:N0} blocks verified, {summary.CorruptBlocks:N0} corrupt");
}
