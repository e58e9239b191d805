using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Native.Exports;

/// <summary>Tags and cached blocks; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class CacheExports
{
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_block_tag", CallConvs = [typeof(CallConvCdecl)])]
    public static int Tag(ulong pool, int group, int block, byte* tag, int tagBytes)
    {
        try
        {
            if (!TryFind(pool, group, tag, tagBytes, out var target, out var failure))
            {
                return failure;
            }

            return Failure.Because(target.Pool.Tag(group, new BlockId(block), new ReadOnlySpan<byte>(tag, tagBytes)), [new BlockId(block)]);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_block_cache", CallConvs = [typeof(CallConvCdecl)])]
    public static int CacheOne(ulong pool, int group, int block, byte* tag, int tagBytes, long lastStep)
    {
        try
        {
            if (!TryFind(pool, group, tag, tagBytes, out var target, out var failure))
            {
                return failure;
            }

            var fault = target.Pool.Cache(group, new BlockId(block), new ReadOnlySpan<byte>(tag, tagBytes), new EngineStep(lastStep));
            return Failure.Because(fault, [new BlockId(block)]);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_cache", CallConvs = [typeof(CallConvCdecl)])]
    public static int Cache(ulong pool, int group, int* blocks, int count, long lastStep)
    {
        try
        {
            if (!BlockExports.TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            var ids = new ReadOnlySpan<BlockId>(blocks, count);
            return Failure.Because(target.Pool.Cache(group, ids, new EngineStep(lastStep)), ids);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_take_cached", CallConvs = [typeof(CallConvCdecl)])]
    public static int TakeCached(ulong pool, int group, int* blocks, int count, AbiTag* expected)
    {
        try
        {
            if (!BlockExports.TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            var ids = new ReadOnlySpan<BlockId>(blocks, count);
            var fault = target.Pool.TakeCached(group, ids);
            if (!fault.IsNone || expected == null)
            {
                return Failure.Because(fault, ids);
            }

            // Nobody evicts a block in use, so its tag can be looked at now.
            Span<byte> tag = stackalloc byte[BlockAllocator.MaxTagBytes];
            for (var i = 0; i < count; i++)
            {
                var tagBytes = target.Pool.CopyTag(group, ids[i], tag);
                if (!HasTag(expected[i], tag[..tagBytes]))
                {
                    target.Pool.Cache(group, ids, EngineStep.None);
                    return Failure.Because(
                        Status.TagMismatch, $"Block {ids[i].Value}, at position {i}, is cached under another tag: it was evicted and used anew. No block was taken.");
                }
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_block_touch", CallConvs = [typeof(CallConvCdecl)])]
    public static int Touch(ulong pool, int group, int block)
    {
        try
        {
            return !PoolAccess.TryFind(pool, group, out var target, out var failure) ? failure
                : target.Pool.Touch(group, new BlockId(block)) ? (int)Status.Ok
                : Failure.Because(Status.NotCached, $"Block {block} of group {group} is not cached.");
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_evict", CallConvs = [typeof(CallConvCdecl)])]
    public static int Evict(ulong pool, int group, int* blocks, int count)
    {
        try
        {
            if (!BlockExports.TryFind(pool, group, blocks, count, out var target, out var failure))
            {
                return failure;
            }

            var ids = new ReadOnlySpan<BlockId>(blocks, count);
            return Failure.Because(target.Pool.Evict(group, ids), ids);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_block_get_tag", CallConvs = [typeof(CallConvCdecl)])]
    public static int GetTag(ulong pool, int group, int block, AbiTag* tag)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (tag == null)
            {
                return Failure.NullPointer("tag");
            }

            Span<byte> found = stackalloc byte[BlockAllocator.MaxTagBytes];
            var tagBytes = target.Pool.CopyTag(group, new BlockId(block), found);
            if (tagBytes == 0)
            {
                return Failure.Because(Status.NotTagged, $"Block {block} of group {group} has no tag.");
            }

            *tag = default;
            tag->Set(found[..tagBytes]);
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_blocks_list_tagged", CallConvs = [typeof(CallConvCdecl)])]
    public static int ListTagged(ulong pool, int group, AbiTaggedBlock* tagged, int capacity, int* count)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (count == null || capacity < 0 || (tagged == null && capacity > 0))
            {
                return Failure.Argument("'count' and 'tagged' are pointers, and 'capacity' isn't negative.");
            }

            var found = target.Pool.EnumerateTagged(group);
            *count = found.Count;
            if (found.Count > capacity)
            {
                return Failure.Because(Status.BufferTooSmall, $"{found.Count} blocks have a tag; there is room for {capacity}.");
            }

            for (var i = 0; i < found.Count; i++)
            {
                tagged[i] = new AbiTaggedBlock { Block = found[i].Block.Value, IsCached = found[i].IsCached ? (byte)1 : (byte)0 };
                tagged[i].Tag.Set(found[i].Tag.AsSpan());
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    private static bool TryFind(
        ulong pool, int group, byte* tag, int tagBytes, [NotNullWhen(true)] out OpenPool? target, out int failure)
    {
        if (!PoolAccess.TryFind(pool, group, out target, out failure))
        {
            return false;
        }

        if (tag != null && tagBytes is >= 1 and <= BlockAllocator.MaxTagBytes)
        {
            return true;
        }

        failure = tag == null
            ? Failure.NullPointer("tag")
            : Failure.Because(Status.BadTag, $"The tag has {tagBytes} bytes; a tag has 1 to {BlockAllocator.MaxTagBytes}.");
        return false;
    }

    private static bool HasTag(in AbiTag expected, ReadOnlySpan<byte> tag) =>
        expected.ByteCount == tag.Length && ((ReadOnlySpan<byte>)expected.Bytes)[..tag.Length].SequenceEqual(tag);
}
