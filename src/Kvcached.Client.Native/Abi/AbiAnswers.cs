using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Native.Abi;

// What the library fills, as kvcached.h has it. A test compares sizes and offsets with those of the C compiler.

/// <summary><c>kvc_availability</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiAvailability
{
    public int FreeBlocks;
    public int CachedBlocks;
    public long UnmappedBlocks;
}

/// <summary><c>kvc_extent</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiExtent
{
    public int FirstPage;
    public int PageCount;
}

/// <summary><c>kvc_pool_stats</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiPoolStats
{
    public int MappedPages;
    public int WarmPages;
    public long UsedBlocks;
    public long CachedBlocks;
    public long FreeBlocks;
    public long Grants;
    public long Refusals;
    public long RevokedExtents;
    public long ReturnedExtents;
    public long EvictedBlocks;
    public int PinnedExtents;
    public int RankCount;
}

/// <summary><c>kvc_tag</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiTag
{
    public byte ByteCount;
    public TagBytes Bytes;

    /// <summary>The tag's bytes; of at most as many as fit.</summary>
    public void Set(ReadOnlySpan<byte> tag)
    {
        ByteCount = (byte)tag.Length;
        tag.CopyTo(Bytes);
    }

    [InlineArray(BlockAllocator.MaxTagBytes)]
    internal struct TagBytes
    {
        private byte _first;
    }
}

/// <summary><c>kvc_tagged_block</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiTaggedBlock
{
    public int Block;
    public byte IsCached;
    public AbiTag Tag;
}

/// <summary><c>kvc_arena_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiArenaInfo
{
    public ulong BaseAddress;
    public long ByteCount;
    public int IsHostAccessible;
    public int Rank;
    public int GroupCount;
    public int TensorCount;
}

/// <summary><c>kvc_tensor</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiTensor
{
    public int Group;
    public int Layer;
    public int Buffer;
    public int TokensPerBlock;
    public long OffsetBytes;
    public long BlockBytes;
    public long BlockStrideBytes;
    public long BlockCount;
}

/// <summary><c>kvc_arena_stats</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiArenaStats
{
    public int Extents;
    public int Pages;
    public long MappedBytes;
    public int Descriptors;
    public int LeavingExtents;
    public int StuckExtents;
    public int Connections;
    public long CompletedStep;
    public long Operations;
    public long Refusals;
}

/// <summary><c>kvc_event</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiEvent
{
    public EventKind Kind;
    public int Group;
    public int Block;
    public int Status;
    public int AskedPages;
    public int GivenUpPages;
    public long LostCount;
    public long DeadlineMs;
    public AbiTag Tag;
    public ReservedBytes Reserved;

    [InlineArray(7)]
    internal struct ReservedBytes
    {
        private byte _first;
    }
}

/// <summary><c>KVC_EVENT_…</c>.</summary>
internal enum EventKind
{
    Evicted = 1,
    Shrink = 2,
    Withdrawn = 3,
    PoolGone = 4,
    Lost = 5,
}
