using System.Globalization;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.TraceReplay.Display;

/// <summary>The live display: memory per GPU and model as bars, and what the engines are doing.</summary>
internal sealed class LiveView(IAnsiConsole console) : IProgressView
{
    private const int GpuBarWidth = 56;
    private const int ModelBarWidth = 20;

    public Task ShowAsync(Func<Action<RunPicture>, Task> work) =>
        console.Live(new Text("Waiting for the first reports …")).StartAsync(context => work(picture =>
        {
            context.UpdateTarget(Render(picture));
            context.Refresh();
        }));

    internal static IRenderable Render(RunPicture picture) => new Rows(
        new Rule(Title(picture)).LeftJustified(),
        Gpus(picture),
        Models(picture),
        new Markup(Footer(picture)));

    private static string Title(RunPicture picture)
    {
        var kind = picture.Plan.Backend == Orchestration.RunPlan.CudaBackend ? "GPU memory" : "main memory";
        return string.Create(CultureInfo.InvariantCulture,
            $"[bold]{picture.Plan.HostCount} hosts[/], {kind}   trace [bold]{picture.TraceTime:mm\\:ss}[/] of {picture.Plan.Window:mm\\:ss}, {picture.Speed:0.##}×");
    }

    private static Grid Gpus(RunPicture picture)
    {
        var grid = new Grid().AddColumns(3);
        for (var gpu = 0; gpu < picture.GpuNames.Length; gpu++)
        {
            var index = gpu;
            (long Value, string Colour)[] parts = [.. picture.Plan.Engines.Select((_, engine) => (picture.MappedBytes(engine, index), Palette.Of(engine)))];
            grid.AddRow(
                Markup.Escape(picture.GpuNames[gpu]),
                Bar.Markup(parts, picture.Plan.MemoryBytes, GpuBarWidth),
                $"{ByteSize.Format(parts.Sum(part => part.Value))} of {ByteSize.Format(picture.Plan.MemoryBytes)}");
        }

        return grid;
    }

    private static Table Models(RunPicture picture)
    {
        var table = new Table().RoundedBorder().BorderColor(Color.Grey35);
        foreach (var heading in new[] { "model", "held / used", "bytes held", "running", "waiting", "finished", "preempted", "refused", "map p50 / p99", "corrupt" })
        {
            table.AddColumn(heading is "model" or "held / used" ? new TableColumn(heading) : new TableColumn(heading).RightAligned());
        }

        var most = Math.Max(1, picture.Reports.Max(report => report?.PeakMappedBytes ?? 0));
        for (var engine = 0; engine < picture.Plan.Engines.Length; engine++)
        {
            var plan = picture.Plan.Engines[engine];
            var name = $"[{Palette.Of(engine)}]■[/] {Markup.Escape(plan.Name)} [grey]TP={plan.RankCount}[/]";
            if (picture.Reports[engine] is not { } report)
            {
                table.AddRow(name);
                continue;
            }

            var (live, held) = (report.LiveBytes(), report.MappedBytes());
            table.AddRow(
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

        return table;
    }

    private static string Footer(RunPicture picture) =>
        $"decisions [bold]{Number(picture.Sum(r => r.Decisions))}[/]   blocks verified [bold]{Number(picture.Sum(r => r.BlocksVerified))}[/]   "
        + $"extents given up to others [bold]{Number(picture.Sum(r => r.RevokedExtents))}[/]";

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
