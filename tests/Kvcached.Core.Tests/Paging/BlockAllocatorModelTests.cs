using CsCheck;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

/// <summary>Random histories over the block sizes of real models, against a model that keeps a state per block.</summary>
public sealed class BlockAllocatorModelTests
{
    private const int PageCount = 64;

    [Fact]
    public void AnyHistory_BlocksNeverTwiceAndCountsAddUp() =>
        Gen.Select(
            Gen.Int[0, Shapes.Slots.Length - 1],
            Gen.Select(Gen.Int[0, 11], Gen.Int[0, 1 << 16], Gen.Int[0, 1 << 16]).Array[1, 80])
        .Sample((shape, history) => new Run(Shapes.Slots[shape]).Play(history), iter: 600);

    private sealed class Run(PageSlots slots)
    {
        private readonly BlockAllocator _allocator = new(slots, PageCount, group: 2);
        private readonly Dictionary<int, (bool IsCached, byte Tag)> _blocks = [];
        private readonly List<int> _byAge = [];
        private readonly List<Extent> _extents = [];
        private readonly HashSet<int> _everHeldPages = [];
        private uint _generation;
        private byte _tag;
        private long _step;

        public void Play((int Kind, int A, int B)[] history)
        {
            foreach (var (kind, a, b) in history)
            {
                switch (kind)
                {
                    case 0 or 1: Add(a, b % 4); break;
                    case 2 or 3: Allocate(1 + (a % 40)); break;
                    case 4: FreeSome(a, 1 + (b % 40)); break;
                    case 5: CacheSome(a, 1 + (b % 20)); break;
                    case 6: TakeOrTouch(a, isTaken: b % 2 == 0); break;
                    case 7: EvictOldest(1 + (b % 8)); break;
                    case 8: EvictExtents(1 + (b % 8)); break;
                    case 9: GiveUp(a, evictCached: b % 2 == 0); break;
                    case 10: FreeWrongly(a); break;
                    default: if (a % 8 == 0) { ReleaseAll(); } else { Restore(a); } break;
                }

                Check();
            }
        }

        /// <summary>1 to 255: 0 means none in the model.</summary>
        private byte NextTag() => _tag = (byte)((_tag % 255) + 1);

        private LastUse Use() => new(++_step, TimeSpan.FromSeconds(_step));

        private int[] Blocks(bool isCached) => [.. _blocks.Where(block => block.Value.IsCached == isCached).Select(block => block.Key).Order()];

        private IEnumerable<int> UsableOf(Extent extent) => Enumerable.Range(extent.First.Value, extent.PageCount)
            .SelectMany(page => Enumerable.Range(slots.FirstBlockOf(new PageId(page)), slots.BlockCountOf(new PageId(page))));

        private Extent ExtentOf(int block) => _extents.Single(extent => UsableOf(extent).Contains(block));

        private void Add(int place, int order)
        {
            var extent = new Extent(2, new PageId(place % (PageCount >> order) << order), (byte)order, ++_generation);
            var overlaps = _extents.Any(held => held.Overlaps(extent));
            Assert.Equal(overlaps ? ExtentFault.Overlaps : ExtentFault.None, _allocator.AddExtent(extent, Use().Time));
            if (!overlaps)
            {
                _extents.Add(extent);
                _everHeldPages.UnionWith(Enumerable.Range(extent.First.Value, extent.PageCount));
            }
        }

        private void Allocate(int count)
        {
            var free = _extents.Sum(extent => UsableOf(extent).Count()) - _blocks.Count;
            var blocks = new BlockId[count];
            var occupancies = _extents.ToDictionary(extent => extent, Occupancy);
            Assert.Equal(free >= count, _allocator.TryAllocate(blocks));
            if (free < count)
            {
                return;
            }

            foreach (var block in blocks)
            {
                Assert.True(slots.IsUsable(block));
                Assert.Contains(_extents, extent => UsableOf(extent).Contains(block.Value));
                Assert.True(_blocks.TryAdd(block.Value, (false, 0)), $"{block} was handed out twice.");
            }

            // The fullest extent (to within one sixty-second) was taken first.
            var withRoom = occupancies.Where(entry => entry.Value < 1).Select(entry => entry.Value).Max();
            Assert.True(occupancies[ExtentOf(blocks[0].Value)] >= withRoom - (1.0 / 62));
        }

        private double Occupancy(Extent extent)
        {
            var usable = UsableOf(extent).ToArray();
            return (double)usable.Count(_blocks.ContainsKey) / usable.Length;
        }

        private void FreeSome(int seed, int count)
        {
            var freed = Blocks(isCached: false).OrderBy(block => (block * 7919) ^ seed).Take(count).ToArray();
            Assert.True(_allocator.Free([.. freed.Select(block => new BlockId(block))], Use()).IsNone);
            Array.ForEach(freed, block => _blocks.Remove(block));
        }

        private void CacheSome(int seed, int count)
        {
            foreach (var block in Blocks(isCached: false).OrderBy(block => (block * 7919) ^ seed).Take(count))
            {
                Assert.True(_allocator.Cache(new BlockId(block), [NextTag(), 1], Use()).IsNone);
                _blocks[block] = (true, _tag);
                _byAge.Add(block);
            }
        }

        private void TakeOrTouch(int seed, bool isTaken)
        {
            if (_byAge.Count == 0)
            {
                return;
            }

            var block = _byAge[seed % _byAge.Count];
            _byAge.Remove(block);
            if (isTaken)
            {
                Assert.True(_allocator.TakeCached([new BlockId(block)]).IsNone);
                _blocks[block] = (false, _blocks[block].Tag);
            }
            else
            {
                Assert.True(_allocator.Touch(new BlockId(block)));
                _byAge.Add(block);
            }
        }

        private void EvictOldest(int count)
        {
            var evicted = new BlockId[count];
            var done = _allocator.EvictLeastRecent(evicted);
            Assert.Equal(_byAge.Take(count), evicted.Take(done).Select(block => block.Value));
            Forget(evicted.AsSpan(0, done));
        }

        private void EvictExtents(int pageCount)
        {
            var evicted = new BlockId[1 << 14];
            var warmBefore = _allocator.WarmExtentCount;
            var evictable = _extents.Where(extent => UsableOf(extent).Any(_byAge.Contains) && !UsableOf(extent).Any(IsUsed)).ToArray();
            var result = _allocator.EvictExtents(pageCount, evicted);
            Assert.True(Math.Min(pageCount, evictable.Sum(extent => extent.PageCount)) <= result.PageCount);
            Assert.Equal(warmBefore + result.ExtentCount, _allocator.WarmExtentCount);
            Forget(evicted.AsSpan(0, result.BlockCount));
        }

        private bool IsUsed(int block) => _blocks.TryGetValue(block, out var state) && !state.IsCached;

        private void Forget(ReadOnlySpan<BlockId> evicted)
        {
            foreach (var block in evicted)
            {
                Assert.True(_byAge.Remove(block.Value));
                _blocks.Remove(block.Value);
            }
        }

        private void GiveUp(int seed, bool evictCached)
        {
            if (_extents.Count == 0)
            {
                return;
            }

            var extent = _extents[seed % _extents.Count];
            var usable = UsableOf(extent).ToArray();
            var expected = usable.Any(IsUsed) ? GiveUpResult.InUse
                : usable.Any(_byAge.Contains) && !evictCached ? GiveUpResult.Cached
                : GiveUpResult.GivenUp;
            Assert.Equal(GiveUpResult.Stale, _allocator.TryGiveUp(extent with { Generation = _generation + 1 }, evictCached, out _));
            Assert.Equal(expected, _allocator.TryGiveUp(extent, evictCached, out _));
            if (expected == GiveUpResult.GivenUp)
            {
                _extents.Remove(extent);
                _byAge.RemoveAll(usable.Contains);
                Array.ForEach(usable, block => _blocks.Remove(block));
            }
        }

        private void FreeWrongly(int seed)
        {
            var block = (seed % (_allocator.BlockIdCount + 2)) - 1;
            if (IsUsed(block))
            {
                return;
            }

            var page = block < 0 || block >= _allocator.BlockIdCount || !slots.IsUsable(new BlockId(block)) ? -1 : slots.PageOf(new BlockId(block)).Value;
            var expected = page < 0 || !_everHeldPages.Contains(page) ? BlockFaultKind.Foreign
                : _extents.Any(extent => extent.First.Value <= page && page < extent.EndPage) ? BlockFaultKind.DoubleFree
                : BlockFaultKind.Stale;
            var good = Blocks(isCached: false).Take(3).Select(used => new BlockId(used)).ToArray();
            Assert.Equal(new BlockFault(expected, good.Length), _allocator.Free([.. good, new BlockId(block)], Use()));
        }

        private void ReleaseAll()
        {
            Assert.Equal(Blocks(isCached: false).Length, _allocator.ReleaseAllUsed(Use()));
            foreach (var block in Blocks(isCached: false))
            {
                if (_blocks[block].Tag == 0)
                {
                    _blocks.Remove(block);
                }
                else
                {
                    _blocks[block] = (true, _blocks[block].Tag);
                }
            }

            // Their order among themselves is the allocator's choice.
            var evicted = new BlockId[_blocks.Count];
            Assert.Equal(_blocks.Count, _allocator.EvictLeastRecent(evicted));
            Assert.Equal(_blocks.Keys.Order(), evicted.Select(block => block.Value).Order());
            _blocks.Clear();
            _byAge.Clear();
        }

        private void Restore(int seed)
        {
            var block = seed % _allocator.BlockIdCount;
            var isFree = _extents.Any(extent => UsableOf(extent).Contains(block)) && !_blocks.ContainsKey(block);
            Assert.Equal(isFree, _allocator.RestoreCached(new BlockId(block), [NextTag(), 1], Use()).IsNone);
            if (isFree)
            {
                _blocks.Add(block, (true, _tag));
                _byAge.Add(block);
            }
        }

        private void Check()
        {
            var total = _extents.Sum(extent => UsableOf(extent).Count());
            Assert.Equal(_blocks.Count - _byAge.Count, _allocator.UsedBlockCount);
            Assert.Equal(_byAge.Count, _allocator.CachedBlockCount);
            Assert.Equal(total - _blocks.Count, _allocator.FreeBlockCount);
            Assert.Equal(_extents.Sum(extent => extent.PageCount), _allocator.HeldPageCount);
            Assert.Equal(_extents.Count, _allocator.ExtentCount);

            var warm = new WarmExtent[PageCount];
            var warmCount = _allocator.CopyWarm(warm);
            var expectedWarm = _extents.Where(extent => !UsableOf(extent).Any(_blocks.ContainsKey)).OrderBy(extent => extent.First);
            Assert.Equal(expectedWarm, warm.Take(warmCount).Select(entry => entry.Extent).OrderBy(extent => extent.First));

            var tagged = new Dictionary<int, byte>();
            foreach (var entry in _allocator.EnumerateTagged())
            {
                tagged.Add(entry.Block.Value, entry.Tag[0]);
            }

            Assert.Equal(_blocks.Where(block => block.Value.Tag != 0 || block.Value.IsCached).OrderBy(block => block.Key).Select(block => (block.Key, block.Value.Tag)),
                tagged.OrderBy(entry => entry.Key).Select(entry => (entry.Key, entry.Value)));
        }
    }
}
