using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;

namespace Kvcached.Client.Native.Exports;

/// <summary>What a pool is and has; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class PoolFactExports
{
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_available", CallConvs = [typeof(CallConvCdecl)])]
    public static int Available(ulong pool, int group, AbiAvailability* availability)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (availability == null)
            {
                return Failure.NullPointer("availability");
            }

            var found = target.Pool.Available(group);
            *availability = new AbiAvailability
            {
                FreeBlocks = found.FreeBlocks,
                CachedBlocks = found.CachedBlocks,
                UnmappedBlocks = found.UnmappedBlocks,
            };
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_null_block", CallConvs = [typeof(CallConvCdecl)])]
    public static int NullBlock(ulong pool, int group, int timeoutMs, int* block)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (block == null || timeoutMs < 0)
            {
                return block == null ? Failure.NullPointer("block") : Failure.NegativeTimeout(timeoutMs);
            }

            if (target.Pool.NullBlock(group) is { } there)
            {
                *block = there.Value;
                return (int)Status.Ok;
            }

            if (timeoutMs == 0)
            {
                return Failure.Because(Status.NotThere, "The block for padding isn't mapped yet, or the pool was opened without one."u8);
            }

            var mapped = target.Pool.EnsureNullBlock(group, TimeSpan.FromMilliseconds(timeoutMs));
            if (mapped.Refusal is { } refusal)
            {
                return Failure.Because(refusal);
            }

            *block = mapped.Value.Value;
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_extents", CallConvs = [typeof(CallConvCdecl)])]
    public static int Extents(ulong pool, int group, AbiExtent* extents, int capacity, int* count)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (count == null || capacity < 0 || (extents == null && capacity > 0))
            {
                return Failure.Argument("'count' and 'extents' are pointers, and 'capacity' isn't negative.");
            }

            var held = target.Pool.Extents(group);
            *count = held.Count;
            if (held.Count > capacity)
            {
                return Failure.Because(Status.BufferTooSmall, $"{held.Count} extents are mapped; there is room for {capacity}.");
            }

            for (var i = 0; i < held.Count; i++)
            {
                extents[i] = new AbiExtent { FirstPage = held[i].First.Value, PageCount = held[i].PageCount };
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_get_stats", CallConvs = [typeof(CallConvCdecl)])]
    public static int Stats(ulong pool, AbiPoolStats* stats)
    {
        try
        {
            if (Handles.Table.Find<OpenPool>(pool) is not { } target)
            {
                return Failure.BadHandle(pool, "pool");
            }

            if (stats == null)
            {
                return Failure.NullPointer("stats");
            }

            var found = target.Pool.GetStats();
            *stats = new AbiPoolStats
            {
                MappedPages = found.MappedPages,
                WarmPages = found.WarmPages,
                UsedBlocks = found.UsedBlocks,
                CachedBlocks = found.CachedBlocks,
                FreeBlocks = found.FreeBlocks,
                Grants = found.Grants,
                Refusals = found.Refusals,
                RevokedExtents = found.RevokedExtents,
                ReturnedExtents = found.ReturnedExtents,
                EvictedBlocks = found.EvictedBlocks,
                PinnedExtents = found.PinnedExtents,
                RankCount = found.MappedBytesPerRank.Length,
            };
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_rank_bytes", CallConvs = [typeof(CallConvCdecl)])]
    public static int RankBytes(ulong pool, int rank, long* mappedBytes, long* liveBytes)
    {
        try
        {
            if (Handles.Table.Find<OpenPool>(pool) is not { } target)
            {
                return Failure.BadHandle(pool, "pool");
            }

            var found = target.Pool.GetStats();
            if ((uint)rank >= (uint)found.MappedBytesPerRank.Length)
            {
                return Failure.Argument($"The pool has {found.MappedBytesPerRank.Length} ranks, counted from 0; there is no rank {rank}.");
            }

            if (mappedBytes != null)
            {
                *mappedBytes = found.MappedBytesPerRank[rank];
            }

            if (liveBytes != null)
            {
                *liveBytes = found.LiveBytesPerRank[rank];
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }
}
