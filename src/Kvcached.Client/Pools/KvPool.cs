using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client;

/// <summary>
/// One pool, as its engine's scheduler sees it. Blocks of mapped pages are allocated and freed in process, without a round trip and without
/// managed memory; growth and return go through the coordinator in whole extents. Thread-safe.
/// </summary>
/// <remarks>Groups are numbered from 0 in the order of the geometry; one out of range throws <see cref="ArgumentOutOfRangeException"/>.</remarks>
public sealed class KvPool : IDisposable
{
    private KvPool()
    {
    }

    /// <summary>A cached block that was evicted. Called without any lock held, by the thread that evicted: the caller's, or the library's.</summary>
    public delegate void BlockEvictedHandler(int group, BlockId block, ReadOnlySpan<byte> tag);

    /// <summary>Cached blocks were evicted: to allocate, by the cap, or because their memory was given up. Also for <see cref="Evict"/>.</summary>
    public event BlockEvictedHandler? Evicted
    {
        add => throw new NotImplementedException();
        remove => throw new NotImplementedException();
    }

    /// <summary>The domain is short of memory and asked for some back. Called by the library's thread, after it answered.</summary>
    public event Action<ShrinkAsked>? ShrinkAsked
    {
        add => throw new NotImplementedException();
        remove => throw new NotImplementedException();
    }

    /// <summary>The pool is gone without having been closed: its blocks must not be used any more. Called once, by the library's thread.</summary>
    public event Action<Refusal>? WithdrawnByDomain
    {
        add => throw new NotImplementedException();
        remove => throw new NotImplementedException();
    }

    public PoolId Id => throw new NotImplementedException();

    public PoolSpec Spec => throw new NotImplementedException();

    public KvPoolOptions Options => throw new NotImplementedException();

    public int GroupCount => throw new NotImplementedException();

    /// <summary>Why the pool can't be used any more: withdrawn, closed, or the session's lease is (nearly) over. Null while it can.</summary>
    public Refusal? Withdrawn => throw new NotImplementedException();

    /// <summary>
    /// Takes exactly <c>blocks.Length</c> blocks from mapped pages, the fullest extents first; false, and none taken, when there are too few or the
    /// pool can't be used (<see cref="Withdrawn"/>). Evicts cached blocks when <see cref="KvPoolOptions.IsEvictingToAllocate"/>.
    /// </summary>
    public bool TryAllocate(int group, Span<BlockId> blocks) => throw new NotImplementedException();

    /// <summary>Frees used blocks and drops their tags. Checked as a whole first: on a double, foreign or stale id none is freed.</summary>
    /// <param name="group">The KV group.</param>
    /// <param name="blocks">The blocks.</param>
    /// <param name="lastUse">
    /// The last engine step that reads or writes them: their memory isn't unmapped on any rank before that rank has completed it.
    /// <see cref="EngineStep.Sync"/> for engines that don't count steps.
    /// </param>
    public BlockFault Free(int group, ReadOnlySpan<BlockId> blocks, EngineStep lastUse) => throw new NotImplementedException();

    /// <summary>Gives a used or cached block its tag of 1 to 64 bytes, in place of any that it had: its content is complete and worth finding again.</summary>
    public BlockFault Tag(int group, BlockId block, ReadOnlySpan<byte> tag) => throw new NotImplementedException();

    /// <summary>Tags one used block and makes it cached: evictable, and the most recently used.</summary>
    public BlockFault Cache(int group, BlockId block, ReadOnlySpan<byte> tag, EngineStep lastUse) => throw new NotImplementedException();

    /// <summary>Makes used blocks that have tags cached, all or none; the first counts as least recently used.</summary>
    public BlockFault Cache(int group, ReadOnlySpan<BlockId> blocks, EngineStep lastUse) => throw new NotImplementedException();

    /// <summary>Puts cached blocks to use again, all or none. They keep their tags.</summary>
    public BlockFault TakeCached(int group, ReadOnlySpan<BlockId> blocks) => throw new NotImplementedException();

    /// <summary>Makes a cached block the most recently used; false when it isn't cached.</summary>
    public bool Touch(int group, BlockId block) => throw new NotImplementedException();

    /// <summary>Makes cached blocks free, all or none.</summary>
    public BlockFault Evict(int group, ReadOnlySpan<BlockId> blocks) => throw new NotImplementedException();

    /// <summary>All tagged blocks, used and cached, as they are now; in no order. A successor rebuilds its prefix cache from them.</summary>
    public IReadOnlyList<TaggedBlockCopy> EnumerateTagged(int group) => throw new NotImplementedException();

    /// <summary>Copies the tag of a block, and returns its length; 0 when it has none.</summary>
    /// <param name="group">The KV group.</param>
    /// <param name="block">The block.</param>
    /// <param name="tag">At least <see cref="BlockAllocator.MaxTagBytes"/> bytes.</param>
    public int CopyTag(int group, BlockId block, Span<byte> tag) => throw new NotImplementedException();

    /// <summary>What can be had without, and with, evicting and growing.</summary>
    public KvAvailability Available(int group) => throw new NotImplementedException();

    /// <summary>Asks for pages, and has them mapped on every rank or refused by the deadline. Returns how many came.</summary>
    public ClientResult<int> Grow(int group, int pages, TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>
    /// Takes exactly <c>blocks.Length</c> blocks, growing as needed; when growth is refused, cached blocks are evicted. Null, or why not; then none
    /// is taken.
    /// </summary>
    public Refusal? AllocateOrGrow(int group, Span<BlockId> blocks, TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>Gives warm extents back, longest idle first, until at most so many warm pages are left. Returns the pages given back.</summary>
    public ClientResult<int> Trim(int group, int warmPagesToKeep, TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>
    /// Keeps the extents of these pages mapped until as many <see cref="Unpin"/>: they are never given up, whether asked or idle. For memory that is
    /// registered elsewhere (RDMA). False, and none pinned, when a page isn't mapped.
    /// </summary>
    public bool Pin(int group, PageId first, int pages) => throw new NotImplementedException();

    /// <summary>Takes one <see cref="Pin"/> of the same range back; false when it isn't pinned.</summary>
    public bool Unpin(int group, PageId first, int pages) => throw new NotImplementedException();

    /// <summary>The block set aside for padding; null before the group's first extent has come, or without <see cref="KvPoolOptions.HasNullBlock"/>.</summary>
    public BlockId? NullBlock(int group) => throw new NotImplementedException();

    /// <summary>Waits, growing as needed, until the block for padding is there.</summary>
    public ClientResult<BlockId> EnsureNullBlock(int group, TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>Extents held of a group, in no order.</summary>
    public IReadOnlyList<Extent> Extents(int group) => throw new NotImplementedException();

    /// <summary>Counts of this moment.</summary>
    public KvPoolStats GetStats() => throw new NotImplementedException();

    /// <summary>Closes the pool and returns all its memory. Null, or why that isn't confirmed; it is unusable in either case.</summary>
    public Refusal? Close(TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>Closes the pool, waiting at most for <see cref="KvSessionOptions.CloseTimeout"/>.</summary>
    public void Dispose() => throw new NotImplementedException();
}
