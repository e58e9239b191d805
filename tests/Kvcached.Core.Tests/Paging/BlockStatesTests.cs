using System.Runtime.CompilerServices;
using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class BlockStatesTests
{
    [Fact]
    public void UseLowest_AnyFreeBlocks_TakesTheLowestInOrder() =>
        Gen.Select(Gen.Int[1, 600], Gen.Int[0, 599].Array[1, 80], Gen.Int[0, 599], Gen.Int[0, 79]).Sample((length, blocks, from, count) =>
        {
            var states = new BlockStates(length);
            var free = new SortedSet<int>(blocks.Select(block => block % length));
            foreach (var block in free)
            {
                states.Free.Set(block);
            }

            var above = free.Where(block => block >= from % length).ToArray();
            if (above.Length == 0)
            {
                return;
            }

            var taken = new BlockId[1 + (count % above.Length)];
            Assert.Equal(above[taken.Length - 1], states.UseLowest(from % length, taken));
            Assert.Equal(above.Take(taken.Length), taken.Select(block => block.Value));
            AssertStates(states, length, free: free.Except(taken.Select(b => b.Value)), used: taken.Select(b => b.Value));
        }, iter: 500);

    [Fact]
    public void TryFree_AnyHistory_FreesUsedBlocksOnly() =>
        Gen.Select(Gen.Int[1, 300], Gen.Select(Gen.Bool, Gen.Int[0, 299]).Array[1, 60]).Sample((length, steps) =>
        {
            var states = new BlockStates(length);
            var (free, used) = (new HashSet<int>(), new HashSet<int>());
            foreach (var (isUse, number) in steps)
            {
                var block = number % length;
                if (isUse)
                {
                    states.Use(block);
                    used.Add(block);
                    free.Remove(block);
                }
                else
                {
                    Assert.Equal(used.Remove(block), states.TryFree(block));
                    _ = states.Free[block] && free.Add(block);
                }
            }

            AssertStates(states, length, free, used);
        }, iter: 300);

    [Fact]
    public void States_OfOneBlock_AreApart()
    {
        var states = new BlockStates(130);
        states.Cached.SetRange(0, 130);
        states.Tagged.Set(129);
        Assert.True(states.Tagged.TryClear(129));
        Assert.False(states.TryFree(64));
        AssertStates(states, 130, [], []);
        Assert.All(Enumerable.Range(0, 130), block => Assert.True(states.Cached[block]));
    }

    [Fact]
    public void HeldExtent_Size_IsOneCacheLine() => Assert.Equal(64, Unsafe.SizeOf<HeldExtent>());

    private static void AssertStates(BlockStates states, int length, IEnumerable<int> free, IEnumerable<int> used)
    {
        Assert.Equal(free.Order(), Enumerable.Range(0, length).Where(block => states.Free[block]));
        Assert.Equal(used.Order(), Enumerable.Range(0, length).Where(block => states.Used[block]));
    }
}
