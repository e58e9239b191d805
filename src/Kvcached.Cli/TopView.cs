using System.Globalization;
using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli;

/// <summary>The picture of <c>kvctl top</c>: a bar per GPU, a row per pool and GPU, and how each has moved of late.</summary>
internal sealed class TopView
{
    private const int BarWidth = 40;
    private const int HistoryLength = 24;
    private const string Levels = "▁▂▃▄▅▆▇█";

    private readonly Dictionary<string, Queue<double>> _histories = new(StringComparer.Ordinal);
    private CountersView? _last;

    public IRenderable Render(GpuView[] gpus, PoolsView pools)
    {
        var rows = new List<IRenderable> { new Text(DescribeDomain(pools)) };
        foreach (var gpu in gpus)
        {
            var onGpu = pools.Pools.SelectMany(pool => pool.OnGpus.Where(on => on.Gpu == gpu.Gpu).Select(on => (Pool: pool, On: on))).ToArray();
            rows.Add(new Text($"{gpu.Gpu} {gpu.DeviceName} [{Bar(gpu, onGpu.Sum(held => held.On.WarmBytes))}] {ByteSize.Format(gpu.UsedBytes)} of {ByteSize.Format(gpu.CapacityBytes)}{(gpu.IsAvailable ? "" : ", unavailable")}"));
            if (onGpu.Length == 0)
            {
                continue;
            }

            var table = Output.CreateTable("pool", "state", "used", "warm", "floor", "share", "limit", "of limit", "of late");
            foreach (var (pool, on) in onGpu.OrderByDescending(held => held.On.UsedBytes))
            {
                var share = on.LimitBytes == 0 ? 0 : (double)on.UsedBytes / on.LimitBytes;
                table.AddRow(
                    new Text(pool.Name), new Text(pool.State), new Text(ByteSize.Format(on.UsedBytes)), new Text(ByteSize.Format(on.WarmBytes)),
                    new Text(ByteSize.Format(on.FloorBytes)), new Text(ByteSize.Format(on.ShareBytes)), new Text(ByteSize.Format(on.LimitBytes)),
                    new Text(share.ToString("P0", CultureInfo.InvariantCulture)), new Text(Sparkline($"{gpu.Gpu}/{pool.Id}", share)));
            }

            rows.Add(table);
        }

        return new Rows(rows);
    }

    // As many '#' as used blocks take, '=' for what is mapped without one, '-' for what is free.
    private static string Bar(GpuView gpu, long warmBytes)
    {
        var used = Cells(gpu.UsedBytes - warmBytes, gpu.CapacityBytes);
        var warm = Math.Min(BarWidth - used, Cells(warmBytes, gpu.CapacityBytes));
        return new string('#', used) + new string('=', warm) + new string('-', BarWidth - used - warm);
    }

    private static int Cells(long bytes, long capacityBytes) =>
        capacityBytes == 0 ? 0 : (int)Math.Clamp(Math.Round((double)bytes / capacityBytes * BarWidth), 0, BarWidth);

    private string DescribeDomain(PoolsView pools)
    {
        var before = _last ?? pools.Counters;
        _last = pools.Counters;
        return $"domain {pools.Domain}, epoch {pools.Epoch}{(pools.IsRecovering ? ", recovering" : "")}: {Output.Count(pools.Pools.Count, "pool")}; since the last look {pools.Counters.Maps - before.Maps} maps, "
            + $"{pools.Counters.Unmaps - before.Unmaps} unmaps, {pools.Counters.Refusals - before.Refusals} refusals; map p50 {pools.Counters.MapMillisecondsP50:0.##} ms, p99 {pools.Counters.MapMillisecondsP99:0.##} ms";
    }

    private string Sparkline(string key, double share)
    {
        if (!_histories.TryGetValue(key, out var history))
        {
            _histories.Add(key, history = new Queue<double>());
        }

        history.Enqueue(Math.Clamp(share, 0, 1));
        if (history.Count > HistoryLength)
        {
            history.Dequeue();
        }

        return string.Concat(history.Select(value => Levels[(int)Math.Round(value * (Levels.Length - 1))]));
    }
}
