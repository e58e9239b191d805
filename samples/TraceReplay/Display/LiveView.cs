using System.Globalization;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.TraceReplay.Display;

/// <summary>The live display: memory per GPU and model as bars, and what the engines are doing.</summary>
internal sealed class LiveView(IAnsiConsole console) : IProgressView
{
    private const int WidestGpuBar = 56;
    private const int ModelBarWidth = 20;

    public void Say(string line) => console.WriteLine(line);

    public Task ShowAsync(Func<Action<RunPicture>, Task> work) =>
        console.Live(new Text("Waiting for the first reports …")).StartAsync(context => work(picture =>
        {
            context.UpdateTarget(Render(picture, console.Profile.Width));
            context.Refresh();
        }));

    internal static IRenderable Render(RunPicture picture, int width) => new Rows(
        new Rule(Title(picture)).LeftJustified(),
        Gpus(picture, Math.Clamp(width - 40, 8, WidestGpuBar)),
        Models(picture, width),
        new Markup(Footer(picture)));

    private static string Title(RunPicture picture)
    {
        var kind = picture.Plan.Backend == Orchestration.RunPlan.CudaBackend ? "GPU memory" : "main memory";
        return string.Create(CultureInfo.InvariantCulture,
            $"[bold]{picture.Plan.HostsText}[/], {kind}   trace [bold]{picture.TraceTime:mm\\:ss}[/] of {picture.Plan.Window:mm\\:ss}, {picture.Speed:0.##}×");
    }

    private static Grid Gpus(RunPicture picture, int barWidth)
    {
        var grid = new Grid().AddColumns(3);
        for (var gpu = 0; gpu < picture.GpuNames.Length; gpu++)
        {
            var index = gpu;
            (long Value, string Colour)[] parts = [.. picture.Plan.Engines.Select((_, engine) => (picture.MappedBytes(engine, index), Palette.Of(engine)))];
            grid.AddRow(
                Markup.Escape(picture.GpuNames[gpu]),
                Bar.Markup(parts, picture.Plan.MemoryBytes, barWidth),
                $"{ByteSize.Format(parts.Sum(part => part.Value))} of {ByteSize.Format(picture.Plan.MemoryBytes)}");
        }

        return grid;
    }

    private static Table Models(RunPicture picture, int width)
    {
        var table = new ColumnTable(width)
            .Column("model", isNumber: false).Column("used and held", isNumber: false, fromWidth: 135).Column("bytes held")
            .Column("running").Column("waiting").Column("finished").Column("preempted", fromWidth: 112).Column("refused", fromWidth: 100)
            .Column("map p50 / p99", fromWidth: 90).Column("corrupt");
        var most = Math.Max(1, picture.Reports.Max(report => report?.PeakMappedBytes ?? 0));
        for (var engine = 0; engine < picture.Plan.Engines.Length; engine++)
        {
            var plan = picture.Plan.Engines[engine];
            var name = $"[{Palette.Of(engine)}]■[/] {Markup.Escape(plan.Name)} [grey]TP={plan.RankCount}[/]";
            if (picture.Reports[engine] is not { } report)
            {
                table.Row(name, "", "", "", "", "", "", "", "", "");
                continue;
            }

            var (live, held) = (report.LiveBytes(), report.MappedBytes());
            table.Row(
                name,
                Bar.Markup([(live, Palette.Of(engine)), (held - live, "grey58")], most, ModelBarWidth),
                ByteSize.Format(held),
                Number(report.Running),
                report.Waiting > 0 ? $"[yellow]{Number(report.Waiting)}[/]" : "0",
                $"{Number(report.Finished)}/{Number(report.Requests)}",
                Number(report.Preemptions),
                Number(report.Refusals),
                string.Create(CultureInfo.InvariantCulture, $"{report.MapMillisecondsP50:0.0} / {report.MapMillisecondsP99:0.0} ms"),
                report.CorruptBlocks > 0 ? $"[red bold]{Number(report.CorruptBlocks)}[/]" : "[green]0[/]");
        }

        return table.Table;
    }

    private static string Footer(RunPicture picture) =>
        $"decisions [bold]{Number(picture.Sum(r => r.Decisions))}[/]   refusals [bold]{Number(picture.Sum(r => r.Refusals))}[/]   "
        + $"blocks verified [bold]{Number(picture.Sum(r => r.BlocksVerified))}[/]   "
        + $"extents given up to others [bold]{Number(picture.Sum(r => r.RevokedExtents))}[/]";

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
