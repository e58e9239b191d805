using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;

namespace Kvcached.Core.Tests.Scheduling;

public sealed class TagRecordTests
{
    private static readonly Gen<byte[]> s_tags = Gen.Byte.Array[1, 64];

    [Fact]
    public void TryRead_WhatWasWritten_IsReadBack() => Gen.Select(Gen.UInt, s_tags, s_tags).Sample((generation, before, tag) =>
    {
        var record = new byte[TagRecord.ByteCount];
        TagRecord.Write(record, 1, before);
        TagRecord.Write(record, generation, tag);
        var read = new byte[64];
        Assert.True(TagRecord.TryRead(record, out var readGeneration, read, out var length));
        Assert.Equal(generation, readGeneration);
        Assert.Equal(tag, read[..length]);
        TagRecord.Clear(record);
        Assert.False(TagRecord.TryRead(record, out _, read, out _));
    });

    [Fact]
    public void TryRead_RecordTornAnywhere_IsNoneOrTheOldOrTheNew() => Gen.Select(s_tags, s_tags, Gen.Int[0, TagRecord.ByteCount]).Sample((before, after, cut) =>
    {
        var (old, fresh) = (new byte[TagRecord.ByteCount], new byte[TagRecord.ByteCount]);
        TagRecord.Write(old, 3, before);
        TagRecord.Write(fresh, 4, after);
        byte[] torn = [.. fresh[..cut], .. old[cut..]];
        var read = new byte[64];
        if (TagRecord.TryRead(torn, out var generation, read, out var length))
        {
            Assert.True((generation == 3 && before.AsSpan().SequenceEqual(read.AsSpan(0, length))) || (generation == 4 && after.AsSpan().SequenceEqual(read.AsSpan(0, length))));
        }
    });

    [Fact]
    public void TryRead_AnyBytes_NeverThrows() => Gen.Byte.Array[TagRecord.ByteCount].Sample(bytes => { TagRecord.TryRead(bytes, out _, new byte[64], out _); });

    [Fact]
    public void OffsetOf_AllBlocks_LieApartAndWithinTheFile()
    {
        var journal = TagJournal.For(TestGeometry.Create());
        var offsets = new HashSet<long>();
        foreach (var (group, count) in new[] { (0, 256), (1, 128) })
        {
            for (var block = 0; block < count; block++)
            {
                var offset = journal.OffsetOf(group, new BlockId(block));
                Assert.InRange(offset, TagJournal.HeaderBytes, journal.ByteCount - TagRecord.ByteCount);
                Assert.Equal(0, offset % sizeof(uint));
                Assert.True(offsets.Add(offset));
            }

            Assert.Throws<ArgumentOutOfRangeException>(() => journal.OffsetOf(group, new BlockId(count)));
        }

        Assert.All(offsets.Order().Zip(offsets.Order().Skip(1)), pair => Assert.True(pair.Second - pair.First >= TagRecord.ByteCount));
    }

    [Fact]
    public void IsHeader_OfAnotherPoolOrOfNothing_IsFalse()
    {
        var journal = TagJournal.For(TestGeometry.Create());
        var header = new byte[TagJournal.HeaderBytes];
        Assert.False(journal.IsHeader(header));
        journal.WriteHeader(header);
        Assert.True(journal.IsHeader(header));
        var other = TestGeometry.Create() with { VirtualPageCounts = [32, 33] };
        Assert.False(TagJournal.For(other).IsHeader(header));
    }
}
