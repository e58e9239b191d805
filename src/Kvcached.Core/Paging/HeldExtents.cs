using System.Numerics;

namespace Kvcached.Core.Paging;

/// <summary>
/// The extents of a block allocator in lists by occupancy, so that the fullest with room is found in constant time: list 0 holds
/// the empty (warm) ones, lists 1 to 62 the partly filled by their share, and the full ones are in none.
/// </summary>
internal sealed class HeldExtents
{
    private const int BucketCount = 63;
    private readonly int[] _heads = new int[BucketCount];
    private readonly int[] _tails = new int[BucketCount];
    private HeldExtent[] _slots = new HeldExtent[16];
    private Extent[] _extents = new Extent[16];
    private int[] _unusedSlots = new int[16];
    private int _unusedCount;
    private int _slotCount;
    private ulong _occupiedBuckets;

    public HeldExtents()
    {
        Array.Fill(_heads, -1);
        Array.Fill(_tails, -1);
    }

    public int Count => _slotCount - _unusedCount;

    public int WarmCount { get; private set; }

    /// <summary>Slots that have ever been used, those given up included (their block count is 0).</summary>
    public Span<HeldExtent> Slots => _slots.AsSpan(0, _slotCount);

    public ref HeldExtent this[int slot] => ref _slots[slot];

    /// <summary>The extent itself, which is seldom asked for.</summary>
    public Extent ExtentAt(int slot) => _extents[slot];

    public int Add(in Extent extent, in HeldExtent blocks)
    {
        int slot;
        if (_unusedCount > 0)
        {
            slot = _unusedSlots[--_unusedCount];
        }
        else
        {
            slot = _slotCount++;
            if (slot == _slots.Length)
            {
                Array.Resize(ref _slots, slot * 2);
                Array.Resize(ref _extents, slot * 2);
                Array.Resize(ref _unusedSlots, slot * 2);
            }
        }

        _extents[slot] = extent;
        _slots[slot] = blocks;
        _slots[slot].BucketScale = ((ulong)(BucketCount - 1) << 32) / (uint)blocks.BlockCount;
        Enter(slot, BucketOf(blocks));
        return slot;
    }

    public void Remove(int slot)
    {
        Leave(slot);
        _slots[slot] = default;
        _unusedSlots[_unusedCount++] = slot;
    }

    /// <summary>Moves an extent to the list that its counts call for.</summary>
    public void Update(int slot)
    {
        ref var held = ref _slots[slot];
        var bucket = BucketOf(held);
        if (bucket != held.Bucket)
        {
            Leave(slot);
            Enter(slot, bucket);
        }
    }

    /// <summary>
    /// The fullest extent that has a free block: the one longest at that occupancy, or of empty ones the one that emptied last, so
    /// that the others may go.
    /// </summary>
    public int FindFullestWithRoom()
    {
        if (_occupiedBuckets == 0)
        {
            return -1;
        }

        var bucket = BitOperations.Log2(_occupiedBuckets);
        return bucket == 0 ? _tails[0] : _heads[bucket];
    }

    /// <summary>The first warm extent, or -1; go on with its <see cref="HeldExtent.Next"/>.</summary>
    public int FirstWarm => _heads[0];

    private static int BucketOf(in HeldExtent held)
    {
        var occupied = held.UsedCount + held.CachedCount;
        return occupied == 0 ? 0
            : occupied == held.BlockCount ? -1
            : 1 + (int)(((ulong)occupied * held.BucketScale) >> 32);
    }

    private void Enter(int slot, int bucket)
    {
        ref var held = ref _slots[slot];
        held.Bucket = bucket;
        if (bucket < 0)
        {
            return;
        }

        held.Next = -1;
        held.Previous = _tails[bucket];
        if (held.Previous < 0)
        {
            _heads[bucket] = slot;
            _occupiedBuckets |= 1UL << bucket;
        }
        else
        {
            _slots[held.Previous].Next = slot;
        }

        _tails[bucket] = slot;
        WarmCount += bucket == 0 ? 1 : 0;
    }

    private void Leave(int slot)
    {
        ref var held = ref _slots[slot];
        var bucket = held.Bucket;
        if (bucket < 0)
        {
            return;
        }

        if (held.Previous < 0)
        {
            _heads[bucket] = held.Next;
        }
        else
        {
            _slots[held.Previous].Next = held.Next;
        }

        if (held.Next < 0)
        {
            _tails[bucket] = held.Previous;
        }
        else
        {
            _slots[held.Next].Previous = held.Previous;
        }

        if (_heads[bucket] < 0)
        {
            _occupiedBuckets &= ~(1UL << bucket);
        }

        WarmCount -= bucket == 0 ? 1 : 0;
    }
}
