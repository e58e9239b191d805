using CsCheck;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;

namespace Kvcached.Copier.Tests.Checking;

public sealed class StampPlacesTests
{
    private static readonly LaneKey Key = StampKey.Of(new PoolId(9), 1, 0).LaneOf(new BlockId(4), 2, 1, 0);

    private static readonly Gen<int> BlockBytes = Gen.OneOf(
        Gen.Int[1, 64], Gen.Int[1, 20_000], Gen.OneOf(Gen.Const(8), Gen.Const(4088), Gen.Const(4096), Gen.Const(4097), Gen.Const(4104), Gen.Const(8192), Gen.Const(8200)));

    [Fact]
    public void WordOf_Sampled_CoversHeadTailAndOneWordPerSample() => BlockBytes.Sample(bytes =>
    {
        var places = new StampPlaces(bytes);
        var words = WordsOf(places, isWhole: false);
        Assert.Equal(words.Distinct().Order(), words);
        Assert.Equal(0, words[0]);
        Assert.Equal(places.WordCount - 1, words[^1]);
        for (var start = 0; start < bytes; start += StampPlaces.SampleBytes)
        {
            Assert.Contains(words, w => w * 8 >= start && w * 8 < start + StampPlaces.SampleBytes);
        }
    });

    [Fact]
    public void WordOf_Whole_CoversEveryByte() => BlockBytes.Sample(bytes =>
    {
        var places = new StampPlaces(bytes);
        Assert.Equal(bytes, WordsOf(places, isWhole: true).Sum(places.BytesOf));
    });

    [Fact]
    public void Verify_AfterWrite_IsCleanAndNothingElseIsWritten() => Gen.Select(BlockBytes, Gen.Bool).Sample((bytes, isWhole) =>
    {
        var block = Filled(bytes);
        var written = StampWriter.Write(block, Key, isWhole);
        var places = new StampPlaces(bytes);
        Assert.Equal(new StampComparison(places.PlaceCount(isWhole), 0, null), StampVerifier.Verify(block, Key, isWhole));
        Assert.Equal(places.PlaceCount(isWhole), written);
        var covered = WordsOf(places, isWhole).ToHashSet();
        for (var i = 0; i < bytes; i++)
        {
            Assert.True(covered.Contains(i / 8) || block[i] == 0xA5, $"byte {i} of {bytes} was written");
        }
    });

    [Fact]
    public void Verify_OneBitFlipped_TellsItsPlace() => Gen.Select(BlockBytes, Gen.Bool, Gen.Int[0, int.MaxValue], Gen.Int[0, 63]).Sample((bytes, isWhole, at, bit) =>
    {
        var block = Filled(bytes);
        StampWriter.Write(block, Key, isWhole);
        var words = WordsOf(new StampPlaces(bytes), isWhole);
        var word = words[at % words.Count];
        bit %= new StampPlaces(bytes).BytesOf(word) * 8;
        block[(word * 8) + (bit / 8)] ^= (byte)(1 << (bit % 8));

        var compared = StampVerifier.Verify(block, Key, isWhole);

        Assert.Equal(1, compared.MismatchCount);
        Assert.Equal(word, compared.First!.Value.WordIndex);
        Assert.Equal(1UL << bit, compared.First.Value.Expected ^ compared.First.Value.Found);
    });

    [Fact]
    public void Verify_ZeroedBlock_MismatchesInEveryWord()
    {
        var compared = StampVerifier.Verify(new byte[65_536], Key, isWhole: false);
        Assert.Equal(compared.WordCount, compared.MismatchCount);
        Assert.Equal(0UL, compared.First!.Value.Found);
    }

    [Fact]
    public void WriteAndVerify_NoBytes_DoNothing()
    {
        Assert.Equal(0, StampWriter.Write([], Key, isWhole: true));
        Assert.Equal(default, StampVerifier.Verify([], Key, isWhole: true));
    }

    private static List<long> WordsOf(StampPlaces places, bool isWhole) =>
        [.. Enumerable.Range(0, (int)places.PlaceCount(isWhole)).Select(p => places.WordOf(p, isWhole))];

    private static byte[] Filled(int bytes)
    {
        var block = new byte[bytes];
        block.AsSpan().Fill(0xA5);
        return block;
    }
}
