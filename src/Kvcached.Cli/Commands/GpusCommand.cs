using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl gpus</c></summary>
internal sealed class GpusCommand() : HostCommand<GpuView[]>("/gpus", ManagementJsonContext.Default.GpuViewArray)
{
    protected override IEnumerable<IRenderable> Render(GpuView[] view)
    {
        yield return Line(Output.Count(view.Length, "GPU"));
        if (view.Length == 0)
        {
            yield break;
        }

        var table = CreateTable("GPU", "device", "backend", "available", "lends", "mapped", "reserved", "quarantined", "free", "host");
        foreach (var gpu in view)
        {
            table.AddRow(
                Cell(gpu.Gpu), Cell(gpu.DeviceName), Cell(gpu.Backend), Cell(!gpu.IsAvailable ? "no" : gpu.IsDraining ? "draining" : "yes"),
                Cell(ByteSize.Format(gpu.CapacityBytes)), Cell(ByteSize.Format(gpu.UsedBytes)), Cell(ByteSize.Format(gpu.ReservedBytes)),
                Cell(ByteSize.Format(gpu.QuarantinedBytes)), Cell(ByteSize.Format(gpu.FreeBytes)), Cell(gpu.Address));
        }

        yield return table;
    }
}
