using System.Collections.Immutable;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Native;

/// <summary>Makes a <see cref="PoolSpec"/> of what C code describes, and checks it as far as that goes without asking a host.</summary>
internal static unsafe class SpecReader
{
    /// <summary>What every driver's granularity is a multiple of, in bytes; the ranks' hosts check for their own.</summary>
    private const long LeastGranularityBytes = 4096;

    private const int MaxWeight = 1_000_000;

    /// <summary>The spec, or a status and what is wrong.</summary>
    public static (PoolSpec? Spec, Status Status, string Problem) Read(AbiPoolSpec* from)
    {
        if (from == null)
        {
            return Bad("'spec' is a null pointer.");
        }

        if (from->StructBytes != (uint)sizeof(AbiPoolSpec))
        {
            return Bad($"kvc_pool_spec.struct_bytes is {from->StructBytes}; this library's has {sizeof(AbiPoolSpec)} bytes.");
        }

        if (!AbiText.TryRead(from->Name, "name", 64, out var name, out var problem))
        {
            return Bad(problem);
        }

        if (!name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))
        {
            return Bad($"Pool name '{name}' has other characters than letters, digits, dots, dashes and underscores.");
        }

        if (from->GroupCount is < 1 or > GeometryRules.MaxGroups || from->Groups == null)
        {
            return Bad($"A pool has 1 to {GeometryRules.MaxGroups} KV groups; 'groups' has {from->GroupCount}, or is a null pointer.");
        }

        if (from->RankCount is < 1 or > GeometryRules.MaxRanks || from->Gpus == null)
        {
            return Bad($"A pool has 1 to {GeometryRules.MaxRanks} ranks; 'gpus' has {from->RankCount}, or is a null pointer.");
        }

        var groups = new KvGroupShape[from->GroupCount];
        for (var g = 0; g < groups.Length; g++)
        {
            ref readonly var group = ref from->Groups[g];
            if (!AbiText.TryRead(group.Name, $"groups[{g}].name", 64, out var groupName, out problem))
            {
                return Bad(problem);
            }

            groups[g] = new KvGroupShape(
                groupName, KindOf(group.Kind), group.TokensPerBlock, group.LayerCount, group.BufferCount, group.BlockBytes, group.PageBytes);
        }

        var ranks = ImmutableArray.CreateBuilder<RankShape>(from->RankCount);
        for (var r = 0; r < from->RankCount; r++)
        {
            if (!AbiText.TryRead(from->Gpus[r], $"gpus[{r}]", GpuId.MaxLength, out var gpuText, out problem))
            {
                return Bad(problem);
            }

            if (!GpuId.TryParse(gpuText, out var gpu))
            {
                return Bad($"gpus[{r}] is '{gpuText}'; a GPU is named by its UUID (GPU-...), or HOST-n without one.");
            }

            ranks.Add(new RankShape(gpu, LayersOfRank(groups, from->RankLayers, r)));
        }

        return Check(new PoolSpec(
            name,
            new PoolGeometry(
                (KvLayout)Small(from->Layout == 0 ? (int)KvLayout.Contiguous : from->Layout), from->LayersPerMapping,
                [.. new ReadOnlySpan<AbiGroupSpec>(from->Groups, from->GroupCount).ToArray().Select(group => group.VirtualPageCount)],
                ranks.MoveToImmutable()),
            (PoolTarget)Small(from->Target == 0 ? (int)PoolTarget.Worker : from->Target),
            from->LimitBytes,
            from->FloorBytes,
            from->Weight == 0 ? 1 : from->Weight));
    }

    private static (PoolSpec? Spec, Status Status, string Problem) Check(PoolSpec spec)
    {
        if (!Enum.IsDefined(spec.Target))
        {
            return Bad($"Pool '{spec.Name}' has target {(int)spec.Target}; use KVC_TARGET_WORKER or KVC_TARGET_HOST.");
        }

        if (spec.LimitBytes < 0 || spec.FloorBytes < 0 || (spec.LimitBytes > 0 && spec.FloorBytes > spec.LimitBytes) || spec.Weight is < 1 or > MaxWeight)
        {
            return (null, StatusOf.Refusal(RefusalReason.BadLimit),
                $"Pool '{spec.Name}': limit {spec.LimitBytes}, floor {spec.FloorBytes}, weight {spec.Weight}; limit and floor are at least 0, the floor "
                + $"at most the limit, the weight 1 to {MaxWeight}.");
        }

        return GeometryRules.FindProblem(spec.Geometry, LeastGranularityBytes) is { } problem
            ? (null, StatusOf.Refusal(RefusalReason.BadGeometry), problem)
            : (spec, Status.Ok, string.Empty);
    }

    private static ImmutableArray<KvGroupShape> LayersOfRank(KvGroupShape[] groups, int* rankLayers, int rank)
    {
        var shapes = ImmutableArray.CreateBuilder<KvGroupShape>(groups.Length);
        for (var g = 0; g < groups.Length; g++)
        {
            shapes.Add(rankLayers == null ? groups[g] : groups[g] with { LayerCount = rankLayers[((long)rank * groups.Length) + g] });
        }

        return shapes.MoveToImmutable();
    }

    private static KvGroupKind KindOf(int kind) => (KvGroupKind)Small(kind);

    /// <summary>The number as a byte; one that doesn't fit becomes one that means nothing.</summary>
    private static byte Small(int value) => value is >= 0 and < byte.MaxValue ? (byte)value : byte.MaxValue;

    private static (PoolSpec? Spec, Status Status, string Problem) Bad(string problem) => (null, Status.InvalidArgument, problem);
}
