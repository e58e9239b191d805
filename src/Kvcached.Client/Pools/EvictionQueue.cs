using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client.Pools;

/// <summary>
/// Blocks that were evicted while a lock was held, with their tags, until the lock is released and they can be told of. Grows to the longest that
/// it ever was and reuses that, so that evicting needs no managed memory in the long run. Guarded by the lock of its pool.
/// </summary>
internal sealed class EvictionQueue : IEvictionSink
{
    private Entry[] _entries = [];
    private byte[] _tags = [];
    private int _count;
    private EvictionQueue? _spare;

    private readonly record struct Entry(int Group, BlockId Block, int TagBytes);

    public bool IsEmpty => _count == 0;

    /// <summary>How many were evicted ever.</summary>
    public long Total { get; private set; }

    /// <summary>Whether anyone wants to hear of them.</summary>
    public bool IsHeard { get; set; }

    /// <summary>The journal whose records go with the blocks; may be null.</summary>
    public TagFile? Journal { get; set; }

    public void Evicting(int group, BlockId block, ReadOnlySpan<byte> tag)
    {
        Total++;
        Journal?.Clear(group, block);
        if (!IsHeard)
        {
            return;
        }

        if (_count == _entries.Length)
        {
            var capacity = Math.Max(64, _count * 2);
            Array.Resize(ref _entries, capacity);
            Array.Resize(ref _tags, capacity * BlockAllocator.MaxTagBytes);
        }

        _entries[_count] = new Entry(group, block, tag.Length);
        tag.CopyTo(_tags.AsSpan(_count * BlockAllocator.MaxTagBytes));
        _count++;
    }

    /// <summary>Takes what is queued, to be told of without the lock and then given back by <see cref="Return"/>.</summary>
    public EvictionQueue Take()
    {
        var taken = _spare ?? new EvictionQueue();
        _spare = null;
        (taken._entries, _entries) = (_entries, taken._entries);
        (taken._tags, _tags) = (_tags, taken._tags);
        (taken._count, _count) = (_count, 0);
        return taken;
    }

    public void Return(EvictionQueue taken)
    {
        taken._count = 0;
        _spare = taken;
    }

    public void Tell(KvPool.BlockEvictedHandler handler)
    {
        for (var i = 0; i < _count; i++)
        {
            var entry = _entries[i];
            handler(entry.Group, entry.Block, _tags.AsSpan(i * BlockAllocator.MaxTagBytes, entry.TagBytes));
        }
    }
}
