using System.Collections.Immutable;
using System.Globalization;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Reporting;
using Spectre.Console;

namespace Kvcached.TraceReplay.Display;

/// <summary>The table at the end of a run.</summary>
internal static class SummaryText
{
    /// <summary>A larger share of late turns is worth a word.</summary>
    private const double LateShare = 0.05;

    public static void Write(IAnsiConsole console, RunSummary summary)
    {
        var table = new ColumnTable(console.Profile.Width)
            .Column("model", isNumber: false).Column("finished").Column("blocks verified").Column("corrupt", fromWidth: 110)
            .Column("preempted", fromWidth: 100).Column("refused", fromWidth: 90).Column("peak held").Column("fixed share").Column("map p50 / p99", fromWidth: 120);
        foreach (var model in summary.Models)
        {
            table.Row(
                $"{Markup.Escape(model.Name)} [grey]TP={model.TensorParallel}[/]",
                $"{Number(model.Finished)}/{Number(model.Requests)}",
                Number(model.BlocksVerified),
                Number(model.CorruptBlocks),
                Number(model.Preemptions),
                Number(model.Refusals),
                ByteSize.Format(model.PeakMappedBytes),
                ByteSize.Format(model.PeakLiveBytes),
                string.Create(CultureInfo.InvariantCulture, $"{model.MapMillisecondsP50:0.00} / {model.MapMillisecondsP99:0.00} ms"));
        }

        console.Write(table.Table);
        foreach (var line in Lines(summary))
        {
            console.WriteLine(line);
        }

        WriteFaults(console, summary);
        foreach (var problem in summary.Problems)
        {
            console.MarkupLineInterpolated($"[red]✗[/] {problem}");
        }

        if (summary.IsGood)
        {
            console.MarkupLine("[green]✓[/] every request finished; every block held what was written to it, on every rank; everything came back.");
        }
    }

    private static void WriteFaults(IAnsiConsole console, RunSummary summary)
    {
        if (summary.FaultsInjected is not { } injected)
        {
            return;
        }

        var table = new ColumnTable(console.Profile.Width).Column("fault", isNumber: false).Column("injected").Column("recovered").Column("p50").Column("max");
        foreach (var (kind, count) in injected)
        {
            table.Row(
                kind, Number(count), Number(summary.Recoveries!.GetValueOrDefault(kind)), Seconds(summary.RecoverySecondsP50!, kind), Seconds(summary.RecoverySecondsMax!, kind));
        }

        console.Write(table.Table);
        console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Number(injected.Values.Sum())} faults (seed {summary.Seed}): {Number(summary.BlocksVerifiedAfterFaults ?? 0)} blocks verified after them, {Number(summary.DivergentLayouts ?? 0)} divergent layouts, {Number(summary.StaleGrants ?? 0)} stale grants, {Number(summary.PoolResets ?? 0)} pools reset as announced, {Number(summary.LostPools ?? 0)} lost."));
    }

    private static string Seconds(ImmutableSortedDictionary<string, double> byKind, string kind) =>
        byKind.TryGetValue(kind, out var seconds) ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0.00} s") : "-";

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
        foreach (var model in summary.Models)
        {
            if (model.LateTurns > LateShare * model.Turns)
            {
                yield return string.Create(CultureInfo.InvariantCulture,
                    $"{model.Name} could not keep its pace: {100.0 * model.LateTurns / model.Turns:0} % of its turns came late, so its load was less than the trace's.");
            }
        }
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
