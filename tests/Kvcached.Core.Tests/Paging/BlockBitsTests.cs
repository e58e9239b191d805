using CsCheck;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class BlockBitsTests
{
    [Fact]
    public void Ranges_AnyOrder_AsInASet() => CheckRanges(length => new BlockBits(length));

    [Fact]
    public void Ranges_OfOneStateAmongOthers_AsInASet() => CheckRanges(length => new BlockStates(length).Cached);

    private static void CheckRanges(Func<int, BlockBits> create) =>
        Gen.Select(Gen.Int[1, 600], Gen.Select(Gen.Bool, Gen.Int[0, 599], Gen.Int[1, 300]).Array[0, 12], Gen.Int[0, 599], Gen.Int[0, 599])
            .Sample((length, ranges, from, until) =>
            {
                var bits = create(length);
                var model = new SortedSet<int>();
                foreach (var (isSet, start, count) in ranges)
                {
                    var (first, end) = (start % length, Math.Min(length, (start % length) + count));
                    if (isSet)
                    {
                        bits.SetRange(first, end);
                        model.UnionWith(Enumerable.Range(first, end - first));
                    }
                    else
                    {
                        bits.ClearRange(first, end);
                        model.ExceptWith(Enumerable.Range(first, end - first));
                    }
                }

                (from, until) = (from % length, until % length);
                Assert.Equal(model.Where(m => m >= from && m < until).DefaultIfEmpty(-1).First(), bits.NextFrom(from, until));
                Assert.All(Enumerable.Range(0, length), block => Assert.Equal(model.Contains(block), bits[block]));
            }, iter: 500);
}
