using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Client;

/// <summary>The domain asked for memory back.</summary>
/// <param name="AskedPages">Pages that were asked for.</param>
/// <param name="GivenUpPages">Pages of them that the library gave up at once; the others are in use or pinned.</param>
/// <param name="Deadline">
/// How long another pool waits for the others: what the engine frees or preempts until then is given up by the library as soon as a whole extent is
/// free. Zero when only certain extents were asked for, and nothing more is waited for.
/// </param>
public readonly record struct ShrinkAsked(int AskedPages, int GivenUpPages, TimeSpan Deadline = default);

/// <summary>What a KV group can hand out.</summary>
/// <param name="FreeBlocks">Without a round trip and without evicting.</param>
/// <param name="CachedBlocks">More, by evicting all that is cached.</param>
/// <param name="UnmappedBlocks">At least so many more by growing, as far as virtual room goes; memory may be short all the same.</param>
public readonly record struct KvAvailability(int FreeBlocks, int CachedBlocks, long UnmappedBlocks);

/// <summary>A block and a copy of its tag.</summary>
/// <param name="Block">The block.</param>
/// <param name="Tag">1 to 64 bytes.</param>
/// <param name="IsCached">True when it is cached, false when it is in use.</param>
public readonly record struct TaggedBlockCopy(BlockId Block, ImmutableArray<byte> Tag, bool IsCached);

/// <summary>Counts of a pool over all its KV groups.</summary>
/// <param name="MappedPages">Pages held.</param>
/// <param name="WarmPages">Pages of extents with no used or cached block.</param>
/// <param name="UsedBlocks">Blocks in use, those for padding included.</param>
/// <param name="CachedBlocks">Blocks that keep content for reuse.</param>
/// <param name="FreeBlocks">Blocks that can be handed out at once.</param>
/// <param name="MappedBytesPerRank">Bytes held on each rank.</param>
/// <param name="LiveBytesPerRank">Bytes of used blocks on each rank.</param>
/// <param name="Grants">Growth requests granted.</param>
/// <param name="Refusals">Growth requests refused.</param>
/// <param name="RevokedExtents">Extents given up when the domain asked.</param>
/// <param name="ReturnedExtents">Extents given back by trimming and decay.</param>
/// <param name="EvictedBlocks">Cached blocks evicted.</param>
/// <param name="PinnedExtents">Extents that are pinned.</param>
public sealed record KvPoolStats(
    int MappedPages, int WarmPages, long UsedBlocks, long CachedBlocks, long FreeBlocks,
    ImmutableArray<long> MappedBytesPerRank, ImmutableArray<long> LiveBytesPerRank,
    long Grants, long Refusals, long RevokedExtents, long ReturnedExtents, long EvictedBlocks, int PinnedExtents);
