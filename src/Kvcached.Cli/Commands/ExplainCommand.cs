using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Cli;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl explain</c>: where a GPU's memory is, adding up to what its driver says.</summary>
internal sealed class ExplainCommand : AsyncCommand<HostSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, HostSettings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        var gpus = await client.GetAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, cancellationToken);
        var pools = await client.GetAsync("/pools", ManagementJsonContext.Default.PoolsView, cancellationToken);
        if (settings.IsJson)
        {
            Output.WriteJson(gpus);
            return ExitCodes.Done;
        }

        Output.Write(gpus.SelectMany(gpu => Explain(gpu, pools)));
        return ExitCodes.Done;
    }

    private static IEnumerable<IRenderable> Explain(GpuView gpu, PoolsView pools)
    {
        yield return Output.Line($"{gpu.Gpu} ({gpu.DeviceName}) lends {ByteSize.Format(gpu.CapacityBytes)}:");
        var accounts = Output.CreateTable("pool", "virtual", "used", "of it warm", "reserved", "quarantined", "unused floor", "limit");
        var claimed = 0L;
        foreach (var pool in pools.Pools)
        {
            foreach (var on in pool.OnGpus.Where(on => on.Gpu == gpu.Gpu))
            {
                var held = on.UsedBytes + on.ReservedBytes + on.QuarantinedBytes;
                claimed += Math.Max(held, on.FloorBytes);
                accounts.AddRow(
                    new Text(pool.Name), new Text($"{pool.VirtualPageCount} pages"), Bytes(on.UsedBytes), Bytes(on.WarmBytes), Bytes(on.ReservedBytes), Bytes(on.QuarantinedBytes),
                    Bytes(Math.Max(0, on.FloorBytes - held)), Bytes(on.LimitBytes));
            }
        }

        yield return accounts;
        yield return Output.Line($"held or promised {ByteSize.Format(claimed)}, free for whoever asks {ByteSize.Format(Math.Max(0, gpu.CapacityBytes - claimed))}");
        if (gpu is { ForeignBytes: { } foreign, HeadroomBytes: { } headroom, RoomBytes: { } room })
        {
            yield return Output.Line(
                $"others use {ByteSize.Format(foreign)} of the device and {ByteSize.Format(headroom)} is kept free, so that {ByteSize.Format(room)} is left to pools"
                + (gpu.IsDeviceShort ? ": too little, so that they are asked to give back, and nothing is lent beyond floors" : string.Empty));
        }

        if (gpu.RankMappedBytes is not { } mapped)
        {
            yield return Output.Line("what its host and driver say, only that host tells: ask it with --url");
            yield break;
        }

        var ours = mapped + (gpu.RankKeptBytes ?? 0) + (gpu.RankStockBytes ?? 0) + (gpu.RankQuarantinedBytes ?? 0);
        var physical = Output.CreateTable("physical memory", "bytes");
        physical.AddRow(new Text("mapped for pools"), Bytes(mapped));
        physical.AddRow(new Text("kept for their pools, not mapped"), Bytes(gpu.RankKeptBytes ?? 0));
        physical.AddRow(new Text("stock of floors"), Bytes(gpu.RankStockBytes ?? 0));
        physical.AddRow(new Text("quarantined"), Bytes(gpu.RankQuarantinedBytes ?? 0));
        physical.AddRow(new Text("of this host together"), Bytes(ours));
        if (gpu.DeviceUsedBytes is { } used && gpu.DeviceTotalBytes is { } total)
        {
            physical.AddRow(new Text("foreign: weights, contexts, other programs"), Bytes(Math.Max(0, used - ours)));
            physical.AddRow(new Text("in use, as the driver says"), Bytes(used));
            physical.AddRow(new Text("free on the device"), Bytes(total - used));
            physical.AddRow(new Text("device"), Bytes(total));
        }

        yield return physical;
    }

    private static Text Bytes(long bytes) => new(ByteSize.Format(bytes));
}
