using System.Globalization;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Orchestration;
using Spectre.Console;

namespace Kvcached.TraceReplay.Display;

/// <summary>Says before a run what is about to happen.</summary>
internal static class PlanText
{
    public static void Write(IAnsiConsole console, RunPlan plan, RunSettings settings, string directory)
    {
        console.MarkupLineInterpolated(CultureInfo.InvariantCulture,
            $"[bold]{plan.HostsText}[/] ({plan.Backend} backend) of {ByteSize.Format(plan.MemoryBytes)} each, {plan.Window.TotalMinutes:0.##} minutes of traces at {settings.Speed:0.##}×; logs in {directory}");
        for (var index = 0; index < plan.Engines.Length; index++)
        {
            var engine = plan.Engines[index];
            console.MarkupLine(string.Create(CultureInfo.InvariantCulture,
                $"  [{Palette.Of(index)}]■[/] {engine.Name,-6} {engine.Model.Name}, {engine.Model.LayerCount} layers, TP={engine.RankCount}: {engine.Requests.Length:N0} requests of {Markup.Escape(Path.GetFileName(engine.TracePath))} from minute {engine.Offset.TotalMinutes:0}"));
        }

        foreach (var note in plan.Notes)
        {
            console.WriteLine("  " + note);
        }
    }
}
