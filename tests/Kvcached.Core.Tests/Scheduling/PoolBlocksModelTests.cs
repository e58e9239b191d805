using System.Collections.Immutable;
using CsCheck;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Core.Tests.Scheduling;

/// <summary>Random histories against a model that knows who has each block.</summary>
public sealed class PoolBlocksModelTests
{
    [Fact]
    public void AnyHistory_NoBlockInTwoHands_NothingUsedOrPinnedLeaves_FencesCoverEveryUse() =>
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1], Gen.Int[0, 1 << 16], Gen.Int[0, 1 << 16]).Array[1, 80]
            .Sample(history => new Run().Play(history), iter: 800);

    private sealed class Run : IEvictionSink
    {
        private readonly PoolBlocks _pool;
        private readonly HashSet<(int Group, int Block)> _used = [];
        private readonly Dictionary<(int Group, int Block), byte> _cached = [];
        private readonly Dictionary<Extent, long> _held = [];
        private readonly HashSet<Extent> _leaving = [];
        private readonly HashSet<Extent> _gone = [];
        private readonly List<(int Group, int First, int Pages)> _pinned = [];
        private readonly List<(int Group, int Block)> _announced = [];
        private uint _generation;
        private long _step;
        private byte _tag;

        public Run() => _pool = new PoolBlocks(TestGeometry.Create(), this);

        private TimeSpan Now => TimeSpan.FromSeconds(_step);

        public void Evicting(int group, BlockId block, ReadOnlySpan<byte> tag)
        {
            Assert.True(_cached.Remove((group, block.Value), out var expected), $"{block} was announced, but isn't cached.");
            Assert.Equal([expected], tag.ToArray());
            _announced.Add((group, block.Value));
        }

        public void Play((int Kind, int Group, int A, int B)[] history)
        {
            foreach (var (kind, group, a, b) in history)
            {
                _step++;
                switch (kind)
                {
                    case 0: Add(group, a, b % 3); break;
                    case 1 or 2: Allocate(group, 1 + (a % 12), isEvicting: b % 2 == 0); break;
                    case 3: Free(group, a); break;
                    case 4: Cache(group, a); break;
                    case 5: Reuse(group, a); break;
                    case 6: Revoke(a, b % 2 == 0); break;
                    case 7: Shrink(group, a % 8, b % 3); break;
                    case 8: SettleReturn(a, isRefused: b % 2 == 0); break;
                    default: PinOrUnpin(group, a, b); break;
                }

                Check();
            }
        }

        private static Extent? ExtentOf(IEnumerable<Extent> extents, int group, int block)
        {
            var page = TestGeometry.Create().SlotsOf(group).PageOf(new BlockId(block)).Value;
            foreach (var extent in extents)
            {
                if (extent.Group == group && page >= extent.First.Value && page < extent.EndPage)
                {
                    return extent;
                }
            }

            return null;
        }

        private void Add(int group, int place, int order)
        {
            var extent = new Extent(group, new PageId(place % (TestGeometry.PageCount >> order) << order), (byte)order, ++_generation);
            var isNew = !_held.Keys.Any(e => e.Overlaps(extent));
            _pool.Add([extent], Now);
            Assert.Equal(!isNew, _pool.FindForeign([extent]).Length == 1);
            if (isNew)
            {
                _held[extent] = 0;
            }
        }

        private void Allocate(int group, int count, bool isEvicting)
        {
            var blocks = new BlockId[count];
            var free = _pool.Groups[group].FreeBlockCount;
            var cached = _cached.Keys.Count(k => k.Group == group);
            var isExpected = count <= free + (isEvicting ? cached : 0);
            Assert.Equal(isExpected, isEvicting ? _pool.TryAllocateEvicting(group, blocks) : _pool.TryAllocate(group, blocks));
            foreach (var block in isExpected ? blocks : [])
            {
                Assert.NotNull(ExtentOf(_held.Keys, group, block.Value));
                Assert.False(_cached.ContainsKey((group, block.Value)));
                Assert.True(_used.Add((group, block.Value)), $"{block} was handed out twice.");
            }
        }

        private void Note(int group, int block) => _held[ExtentOf(_held.Keys, group, block)!.Value] = _step;

        private static int? Pick(IEnumerable<(int Group, int Block)> from, int group, int seed)
        {
            var blocks = from.Where(k => k.Group == group).Select(k => k.Block).Order().ToArray();
            return blocks.Length == 0 ? null : blocks[seed % blocks.Length];
        }

        private void Free(int group, int seed)
        {
            if (Pick(_used, group, seed) is { } block)
            {
                Assert.True(_pool.Free(group, [new BlockId(block)], new LastUse(_step, Now)).IsNone);
                _used.Remove((group, block));
                Note(group, block);
                Assert.False(_pool.Free(group, [new BlockId(block)], new LastUse(_step, Now)).IsNone);
            }
        }

        private void Cache(int group, int seed)
        {
            if (Pick(_used, group, seed) is { } block)
            {
                _tag = (byte)((_tag % 255) + 1);
                Assert.True(_pool.Cache(group, new BlockId(block), [_tag], new LastUse(_step, Now)).IsNone);
                _used.Remove((group, block));
                _cached[(group, block)] = _tag;
                Note(group, block);
            }
        }

        private void Reuse(int group, int seed)
        {
            if (Pick(_cached.Keys, group, seed) is not { } block)
            {
                return;
            }

            if (seed % 2 == 0)
            {
                Assert.True(_pool.TakeCached(group, [new BlockId(block)]).IsNone);
                _cached.Remove((group, block));
                _used.Add((group, block));
            }
            else
            {
                Assert.False(_pool.Evict(group, [new BlockId(block), new BlockId(block)]).IsNone);
                Assert.True(_cached.ContainsKey((group, block)), "A refused eviction evicted.");
                Assert.True(_pool.Evict(group, [new BlockId(block)]).IsNone);
                Assert.False(_cached.ContainsKey((group, block)));
            }
        }

        private void Revoke(int seed, bool evictCached)
        {
            var asked = _held.Keys.OrderBy(e => (e.First.Value * 7919) ^ seed).Take(1 + (seed % 3)).ToImmutableArray();
            var mayGo = asked.Where(e => !IsUsed(e) && !IsPinned(e) && (evictCached || !IsCached(e))).ToArray();
            Leave(_pool.GiveUp(asked, evictCached), mayGo);
        }

        private void Shrink(int group, int pages, int keep)
        {
            var evictable = _held.Keys.Where(e => e.Group == group && !IsUsed(e) && IsCached(e) && !IsPinned(e)).Sum(e => e.PageCount);
            _announced.Clear();
            var made = _pool.EvictWholeExtents(group, pages);
            Assert.True(made >= Math.Min(pages, evictable));
            Assert.True(made <= evictable);
            Assert.All(_announced, a => Assert.False(_pool.Groups[group].IsCached(new BlockId(a.Block))));
            var warm = _held.Keys.Where(e => e.Group == group && !IsUsed(e) && !IsCached(e) && !IsPinned(e)).ToArray();
            var left = _pool.TakeWarm(group, keep, TimeSpan.Zero, Now);
            Leave(left, null);
            Assert.All(left.Extents, e => Assert.Contains(e, warm));
            Assert.True(warm.Sum(e => e.PageCount) - left.PageCount >= Math.Min(keep, warm.Sum(e => e.PageCount)));
        }

        private void Leave(GivenUpExtents left, Extent[]? expected)
        {
            if (expected is not null)
            {
                Assert.Equal(expected.ToHashSet(), [.. left.Extents]);
            }

            Assert.Equal(left.IsEmpty ? 0 : left.Extents.Max(e => _held[e]), left.Fence.Value);
            foreach (var extent in left.Extents)
            {
                Assert.False(IsUsed(extent) || IsPinned(extent) || IsCached(extent));
                _held.Remove(extent);
                _leaving.Add(extent);
            }
        }

        private void SettleReturn(int seed, bool isRefused)
        {
            if (_leaving.Count == 0)
            {
                return;
            }

            var extent = _leaving.OrderBy(e => e.Generation).ElementAt(seed % _leaving.Count);
            _leaving.Remove(extent);
            if (isRefused && !_held.Keys.Any(e => e.Overlaps(extent)))
            {
                _pool.Add([extent], Now);
                _held[extent] = 0;
            }
            else
            {
                _pool.Returned([extent]);
                _gone.Add(extent);
            }
        }

        private void PinOrUnpin(int group, int a, int b)
        {
            if (b % 2 == 0 && _pinned.Count > 0)
            {
                var (pinnedGroup, first, pages) = _pinned[a % _pinned.Count];
                _pinned.RemoveAt(a % _pinned.Count);
                Assert.True(_pool.Pins.TryUnpin(_pool.Groups[pinnedGroup], new PageId(first), pages));
                return;
            }

            var range = (Group: group, First: a % TestGeometry.PageCount, Pages: 1 + (b % 3));
            var isHeld = Enumerable.Range(range.First, range.Pages).All(p => _held.Keys.Any(e => e.Group == group && p >= e.First.Value && p < e.EndPage));
            Assert.Equal(isHeld, _pool.Pins.TryPin(_pool.Groups[group], new PageId(range.First), range.Pages));
            if (isHeld)
            {
                _pinned.Add(range);
            }
        }

        private bool IsUsed(Extent extent) => _used.Any(u => ExtentOf([extent], u.Group, u.Block) is not null);

        private bool IsCached(Extent extent) => _cached.Keys.Any(u => ExtentOf([extent], u.Group, u.Block) is not null);

        private bool IsPinned(Extent extent) => _pinned.Any(p => p.Group == extent.Group && p.First < extent.EndPage && extent.First.Value < p.First + p.Pages);

        private void Check()
        {
            for (var group = 0; group < 2; group++)
            {
                var blocks = _pool.Groups[group];
                var held = _held.Keys.Where(e => e.Group == group).ToArray();
                Assert.Equal(held.Sum(e => e.PageCount), blocks.HeldPageCount);
                Assert.Equal(_used.Count(u => u.Group == group), blocks.UsedBlockCount);
                Assert.Equal(_cached.Keys.Count(u => u.Group == group), blocks.CachedBlockCount);
                Assert.Equal(blocks.HeldPageCount * (group == 0 ? 8 : 4), blocks.UsedBlockCount + blocks.CachedBlockCount + blocks.FreeBlockCount);
            }

            // What waits for its own answer isn't decided, nor what is on its way back; all else is known to be held or not.
            var waited = new GrantedExtent(new Extent(0, new PageId(0), 0, uint.MaxValue), new RequestId(7));
            var (known, unknown) = _pool.Check(
                [waited, .. _held.Keys.Concat(_leaving).Concat(_gone).Select(e => new GrantedExtent(e, new RequestId(e.Generation % 7)))], request => request.Value == 7);
            Assert.Equal(_held.Keys.ToHashSet(), [.. known]);
            Assert.Equal(_gone, [.. unknown]);
            Assert.Equal(_gone, [.. _pool.FindForeign([.. _held.Keys.Concat(_leaving).Concat(_gone)])]);

            var idle = _pool.FindIdle(Now, withCached: true).Select(i => i.Extent).ToHashSet();
            Assert.Equal(_held.Keys.Where(e => !IsUsed(e) && !IsPinned(e)).ToHashSet(), idle);
        }
    }
}
