using CsCheck;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;

namespace Kvcached.Copier.Tests.Checking;

public sealed class StampKeyTests
{
    private sealed record Place(long Pool, int Rank, int Group, int Block, uint Version, int Layer, int Buffer, int Word)
    {
        public ulong Value => StampKey.Of(new PoolId(Pool), Rank, Group).WordAt(new BlockId(Block), Version, Layer, Buffer, Word);
    }

    private static readonly Gen<Place> Places = Gen.Select(
        Gen.Select(Gen.Long, Gen.Int[0, 1023], Gen.Int[0, 63]),
        Gen.Select(Gen.Int[0, int.MaxValue], Gen.UInt),
        Gen.Select(Gen.Int[0, 4095], Gen.Int[0, 15], Gen.Int[0, int.MaxValue]),
        (a, b, c) => new Place(a.Item1, a.Item2, a.Item3, b.Item1, b.Item2, c.Item1, c.Item2, c.Item3));

    [Fact]
    public void WordAt_AnyCoordinateChanged_Differs() => Places.Sample(place =>
    {
        var others = new[]
        {
            place with { Pool = place.Pool ^ 1 },
            place with { Rank = place.Rank ^ 1 },
            place with { Group = place.Group ^ 1 },
            place with { Block = place.Block ^ 1 },
            place with { Version = place.Version - 1 },
            place with { Layer = place.Layer ^ 1 },
            place with { Buffer = place.Buffer ^ 1 },
            place with { Word = place.Word ^ 1 },
            place with { Rank = place.Group, Group = place.Rank, Pool = place.Pool + 1 },
            place with { Layer = place.Buffer, Buffer = place.Layer, Word = place.Word ^ 2 },
        };
        Assert.DoesNotContain(place.Value, others.Select(o => o.Value));
    });

    [Fact]
    public void WordAt_AllSmallPlaces_AreDistinctAndNotZero()
    {
        var words = new HashSet<ulong>();
        var count = 0;
        foreach (var pool in new[] { 1L, 2L })
        {
            for (var i = 0; i < 4 * 2 * 16 * 4 * 4 * 2 * 8; i++)
            {
                var place = new Place(pool, i & 3, (i >> 2) & 1, (i >> 3) & 15, (uint)(i >> 7) & 3, (i >> 9) & 3, (i >> 11) & 1, (i >> 12) & 7);
                words.Add(place.Value);
                count++;
            }
        }

        Assert.Equal(count, words.Count);
        Assert.DoesNotContain(0UL, words);
    }

    [Fact]
    public void WordAt_KnownPlace_StaysAsTheKernelsComputeIt()
    {
        // Computed apart from this code, from the description of the function.
        Assert.Equal(KnownWord, new Place(0x1000_0005, 3, 1, 1234, 77, 5, 1, 512).Value);
    }

    private const ulong KnownWord = 0xBDB2_E3F7_1F74_0BF8;
}
