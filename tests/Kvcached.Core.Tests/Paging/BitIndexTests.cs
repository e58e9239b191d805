using CsCheck;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Paging;

public sealed class BitIndexTests
{
    [Fact]
    public void NextAndPrevious_AnySet_AsInASortedSet() =>
        Gen.Select(Gen.Int[1, 300_000], Gen.Int[0, 1 << 20].Array[0, 40], Gen.Int[0, 1 << 20].Array[0, 20], Gen.Int[0, 1 << 20].Array[1, 20])
            .Sample((length, added, removed, asked) =>
            {
                var index = new BitIndex(length);
                var model = new SortedSet<int>();
                foreach (var member in added)
                {
                    index.Add(member % length);
                    model.Add(member % length);
                }

                foreach (var member in removed.Concat(added.Take(3)))
                {
                    index.Remove(member % length);
                    model.Remove(member % length);
                }

                foreach (var number in asked.Select(a => a % length).Concat(model).Append(0).Append(length - 1))
                {
                    Assert.Equal(model.Contains(number), index.Contains(number));
                    Assert.Equal(model.GetViewBetween(number, length).DefaultIfEmpty(-1).First(), index.NextFrom(number));
                    Assert.Equal(model.GetViewBetween(0, number).DefaultIfEmpty(-1).Last(), index.PreviousFrom(number));
                }

                Assert.Equal(-1, index.NextFrom(length));
                Assert.Equal(model.Count == 0 ? -1 : model.Max, index.PreviousFrom(int.MaxValue));
                Assert.Equal(-1, index.PreviousFrom(-1));
            }, iter: 500);
}
