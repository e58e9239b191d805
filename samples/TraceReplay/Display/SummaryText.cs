using System.Globalization;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Reporting;
using Spectre.Console;

namespace Kvcached.TraceReplay.Display;

/// <summary>The table at the end of a run.</summary>
internal static class SummaryText
{
    public static void Write(IAnsiConsole console, RunSummary summary)
    {
        var table = new Table().RoundedBorder().BorderColor(Color.Grey35).AddColumn("model");
        foreach (var heading in new[] { "requests", "preempted", "blocks verified", "corrupt", "peak held", "fixed share", "refused", "map p50 / p99", "late turns" })
        {
            table.AddColumn(new TableColumn(heading).RightAligned());
        }

        foreach (var model in summary.Models)
        {
            table.AddRow(
                string.Create(CultureInfo.InvariantCulture, $"{Markup.Escape(model.Name)} ({Markup.Escape(model.Model)}, TP={model.TensorParallel})"),
                $"{Number(model.Finished)}/{Number(model.Requests)}",
                Number(model.Preemptions),
                Number(model.BlocksVerified),
                Number(model.CorruptBlocks),
                ByteSize.Format(model.PeakMappedBytes),
                ByteSize.Format(model.PeakLiveBytes),
                Number(model.Refusals),
                string.Create(CultureInfo.InvariantCulture, $"{model.MapMillisecondsP50:0.00} / {model.MapMillisecondsP99:0.00} ms"),
                string.Create(CultureInfo.InvariantCulture, $"{(model.Turns == 0 ? 0 : 100.0 * model.LateTurns / model.Turns):0.#} %"));
        }

        console.Write(table);
        foreach (var line in Lines(summary))
        {
            console.WriteLine(line);
        }

        foreach (var problem in summary.Problems)
        {
            console.MarkupLineInterpolated($"[red]✗[/] {problem}");
        }

        if (summary.IsGood)
        {
            console.MarkupLine("[green]✓[/] every request finished; every block held what was written to it, on every rank; everything came back.");
        }
    }

    private static IEnumerable<string> Lines(RunSummary summary)
    {
        var more = summary.MeanMappedBytes > 0 ? 100 * ((summary.StaticBytes / summary.MeanMappedBytes) - 1) : 0;
        yield return string.Create(CultureInfo.InvariantCulture,
            $"Memory over all GPUs: mean {ByteSize.Format((long)summary.MeanMappedBytes)}, peak {ByteSize.Format(summary.PeakMappedBytes)}; fixed shares would take {ByteSize.Format(summary.StaticBytes)} all the time, {more:0} % more than the mean.");
        yield return string.Create(CultureInfo.InvariantCulture,
            $"{Number(summary.Decisions)} decisions, {Number(summary.Refusals)} refused requests, {Number(summary.Preemptions)} preemptions; {summary.HeldOverLiveBytesMean:0.00} bytes held per byte in use.");
        yield return string.Create(CultureInfo.InvariantCulture,
            $"{Number(summary.BlocksVerified)} blocks verified ({Number(summary.BlocksFilledWhole)} in every word): {Number(summary.CorruptBlocks)} corrupt, {Number(summary.DigestMismatches)} digest mismatches, {Number(summary.LeakedPages)} pages leaked.");
        yield return string.Create(CultureInfo.InvariantCulture,
            $"Map p50 {summary.MapMillisecondsP50:0.00} ms, p99 {summary.MapMillisecondsP99:0.00} ms, from asking to being told by all ranks; unmap p50 {summary.UnmapMillisecondsP50:0.00} ms. {summary.ElapsedSeconds:0.0} s.");
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
