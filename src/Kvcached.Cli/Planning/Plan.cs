using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;
using Kvcached.Core.Units;

namespace Kvcached.Cli.Planning;

/// <summary>What one GPU of a plan comes to, in bytes.</summary>
/// <param name="Gpu">Its name.</param>
/// <param name="MemoryBytes">All that it has.</param>
/// <param name="HeadroomBytes">Left to others.</param>
/// <param name="WeightBytes">Taken by models' weights.</param>
/// <param name="LendableBytes">What is left for pools; below 0 when the rest doesn't fit.</param>
/// <param name="Pools">Its pools.</param>
internal sealed record PlannedGpu(string Gpu, long MemoryBytes, long HeadroomBytes, long WeightBytes, long LendableBytes, IReadOnlyList<PlannedPool> Pools);

/// <summary>What one pool comes to on one GPU, in bytes.</summary>
internal sealed record PlannedPool(string Model, long FloorBytes, long LimitBytes, int Weight, long ShareBytes);

/// <summary>Whether models fit on GPUs before they are started, worked out by the ledger that hosts use.</summary>
/// <param name="Gpus">Each GPU.</param>
/// <param name="Problems">What doesn't fit, as sentences; empty when all does.</param>
internal sealed record Plan(IReadOnlyList<PlannedGpu> Gpus, IReadOnlyList<string> Problems)
{
    /// <exception cref="UsageException">The file makes no sense.</exception>
    public static Plan Make(PlanFile file)
    {
        CheckNames(file);
        var problems = new List<string>();
        return new Plan([.. file.Gpus.Select(gpu => Make(gpu, [.. file.Models.Where(model => model.Gpus.Contains(gpu.Name))], problems))], problems);
    }

    private static PlannedGpu Make(PlanGpu gpu, PlanModel[] models, List<string> problems)
    {
        var memory = Bytes(gpu.Memory, $"memory of {gpu.Name}");
        var headroom = Bytes(gpu.Headroom, $"headroom of {gpu.Name}");
        var weights = models.Sum(model => Bytes(model.Weights, $"weights of {model.Name}"));
        var lendable = memory - headroom - weights;
        if (lendable < 0)
        {
            problems.Add($"{gpu.Name}: weights of {ByteSize.Format(weights)} and {ByteSize.Format(headroom)} of headroom exceed its {ByteSize.Format(memory)} by {ByteSize.Format(-lendable)}.");
        }

        var ledger = new GpuLedger(default, Math.Max(0, lendable), 0);
        for (var i = 0; i < models.Length; i++)
        {
            var model = models[i];
            var (limit, floor) = (Terms(model.Limit, ledger, model, "limit"), Terms(model.Floor, ledger, model, "floor"));
            if (!ledger.TryAdmit(new PoolId(i), Math.Min(limit, ledger.LendableBytes), floor, model.Weight, out var refusal))
            {
                problems.Add($"{gpu.Name}: the floor of {model.Name}, {ByteSize.Format(floor)}, doesn't fit ({refusal.Reason}); {ByteSize.Format(refusal.FreeBytes)} of {ByteSize.Format(ledger.LendableBytes)} are left to it.");
            }
        }

        return new PlannedGpu(gpu.Name, memory, headroom, weights, lendable,
        [
            .. ledger.Entries.Select(entry => new PlannedPool(
                models[(int)entry.Pool.Value].Name, entry.FloorBytes, entry.LimitBytes, (int)entry.Weight, ledger.WeightedShareBytes(entry.Pool))),
        ]);
    }

    private static void CheckNames(PlanFile file)
    {
        foreach (var names in (string[][])[[.. file.Gpus.Select(gpu => gpu.Name)], [.. file.Models.Select(model => model.Name)]])
        {
            if (names.FirstOrDefault(string.IsNullOrWhiteSpace) is not null || names.Distinct(StringComparer.Ordinal).Count() < names.Length)
            {
                throw new UsageException("a gpu or model of the plan has no name, or one that another has.");
            }
        }

        foreach (var model in file.Models)
        {
            if (model.Gpus.Count == 0 || model.Gpus.FirstOrDefault(name => file.Gpus.TrueForAll(gpu => gpu.Name != name)) is not null)
            {
                throw new UsageException($"model {model.Name} names no gpu, or one that the plan doesn't have; it has {string.Join(", ", file.Gpus.Select(gpu => gpu.Name))}.");
            }

            if (model.Weight is < 1 or > PoolPolicy.MaxWeight)
            {
                throw new UsageException($"weight of {model.Name}: {model.Weight} is not allowed; allowed: 1 to {PoolPolicy.MaxWeight}.");
            }
        }
    }

    private static long Bytes(string text, string what) => SizeText.Read(text, what) is { Unit: MemoryUnit.Bytes } amount
        ? amount.Value
        : throw new UsageException($"{what} '{text}' is not allowed; allowed: bytes, or a size such as 80GiB.");

    private static long Terms(string text, GpuLedger ledger, PlanModel model, string what) =>
        SizeText.Read(text, $"{what} of {model.Name}").BytesOf(ledger.LendableBytes);
}
