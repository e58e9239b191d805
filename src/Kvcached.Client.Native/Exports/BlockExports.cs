using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Native.Exports;

/// <summary>
/// Taking and freeing blocks: the engine's hot path, without managed memory. What each does is said in <c>kvcached.h</c>. A block id is an int on
/// both sides, so that arrays are used where they lie.
/// </summary>
internal static unsafe class BlockExports
{
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_alloc", CallConvs = [typeof(CallConvCdecl)])]
    public static int Alloc(ulong pool, int group, int* blocks, int count)
    {
        try
        {
            if (!TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            return target.Pool.TryAllocate(group, new Span<BlockId>(blocks, count)) ? (int)Status.Ok : NoBlocks(target);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_alloc_or_grow", CallConvs = [typeof(CallConvCdecl)])]
    public static int AllocOrGrow(ulong pool, int group, int* blocks, int count, int timeoutMs)
    {
        try
        {
            if (!TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            if (timeoutMs < 0)
            {
                return Failure.NegativeTimeout(timeoutMs);
            }

            var refusal = target.Pool.AllocateOrGrow(group, new Span<BlockId>(blocks, count), TimeSpan.FromMilliseconds(timeoutMs));
            return refusal is null ? (int)Status.Ok : Failure.Because(refusal);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(ulong pool, int group, int* blocks, int count, long lastStep)
    {
        try
        {
            if (!TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            var ids = new ReadOnlySpan<BlockId>(blocks, count);
            var fault = target.Pool.Free(group, ids, new EngineStep(lastStep));
            return fault.IsNone ? (int)Status.Ok : Failure.Because(fault, ids);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    /// <summary>Finds the pool and checks an array of blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryFind(
        ulong pool, int group, int* blocks, int count, [NotNullWhen(true)] out OpenPool? target, out int failure)
    {
        if (!PoolAccess.TryFind(pool, group, out target, out failure))
        {
            return false;
        }

        if (count >= 0 && (blocks != null || count == 0))
        {
            return true;
        }

        failure = count < 0 ? Failure.Argument($"'count' is {count}; blocks are counted from 0.") : Failure.NullPointer("blocks");
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int NoBlocks(OpenPool target) =>
        target.Pool.Withdrawn is { } refusal
            ? Failure.Because(refusal)
            : Failure.Because(
                Status.NoBlocks, "Fewer blocks are free and evictable than asked for; none was taken. Grow the pool, or free blocks first."u8);
}
