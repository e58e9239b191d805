using CsCheck;
using Kvcached.Core.Checking;

namespace Kvcached.Copier.Tests.Checking;

public sealed class ExtentChecksumTests
{
    private static readonly Gen<byte[]> Words = Gen.Int[2, 64].SelectMany(count => Gen.Byte.Array[count * 8]);

    [Fact]
    public void With_Parts_EqualsTheWholeInAnyOrder() => Gen.Select(Words, Gen.Int[0, 64]).Sample((bytes, cut) =>
    {
        var at = cut % (bytes.Length / 8) * 8;
        var whole = default(ExtentChecksum).With(bytes, 5);
        Assert.Equal(whole, default(ExtentChecksum).With(bytes.AsSpan(0, at), 5).With(bytes.AsSpan(at), 5 + (at / 8)));
        Assert.Equal(whole, default(ExtentChecksum).With(bytes.AsSpan(at), 5 + (at / 8)).With(bytes.AsSpan(0, at), 5));
    });

    [Fact]
    public void With_WordsExchanged_Differs() => Words.Sample(bytes =>
    {
        var exchanged = bytes.AsSpan(8, 8).ToArray().Concat(bytes.Take(8)).Concat(bytes.Skip(16)).ToArray();
        if (!exchanged.SequenceEqual(bytes))
        {
            Assert.NotEqual(default(ExtentChecksum).With(bytes, 0), default(ExtentChecksum).With(exchanged, 0));
        }
    });

    [Fact]
    public void With_NoWholeWords_IsRefused() =>
        Assert.Throws<ArgumentException>(() => default(ExtentChecksum).With(new byte[9], 0));
}
