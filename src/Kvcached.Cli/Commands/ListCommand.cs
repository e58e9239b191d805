using System.Globalization;
using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl list</c></summary>
internal sealed class ListCommand() : HostCommand<PoolsView>("/pools", ManagementJsonContext.Default.PoolsView)
{
    protected override IEnumerable<IRenderable> Render(PoolsView view)
    {
        var recovering = view.IsRecovering ? ", recovering" : string.Empty;
        yield return Line($"domain {view.Domain}, epoch {view.Epoch}{recovering}: {Output.Count(view.Pools.Count, "pool")}");
        if (view.Pools.Count == 0)
        {
            yield break;
        }

        var table = CreateTable("pool", "id", "engine", "state", "GPUs", "pages", "mapped/rank", "warm/rank", "limit", "floor", "weight");
        foreach (var pool in view.Pools)
        {
            table.AddRow(
                Cell(pool.Name), Cell(pool.Id), Cell(pool.EngineName),
                Cell(pool.State), Cell(string.Join('\n', pool.Gpus)),
                Cell($"{pool.MappedPageCount} of {pool.VirtualPageCount}"), PerRank(pool.MappedBytes), PerRank(pool.WarmBytes),
                Cell(LimitOf(pool)),
                Cell(pool.FloorBytes == 0 ? "none" : ByteSize.Format(pool.FloorBytes)),
                Cell(pool.Weight.ToString(CultureInfo.InvariantCulture)));
        }

        yield return table;
    }

    // Above it while it is being shrunk.
    private static string LimitOf(PoolView pool) =>
        ByteSize.Format(pool.LimitBytes) + (pool.OnGpus.Any(on => on.UsedBytes + on.ReservedBytes + on.QuarantinedBytes > on.LimitBytes) ? " (above)" : string.Empty);

    // Ranks of one stage hold the same, so that one figure says it all, most of the time.
    private static Text PerRank(IReadOnlyList<long> bytes) =>
        new(string.Join('\n', bytes.Distinct().Count() <= 1 ? bytes.Take(1).Select(ByteSize.Format) : bytes.Select(ByteSize.Format)));
}
