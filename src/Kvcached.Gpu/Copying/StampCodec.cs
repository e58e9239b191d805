using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Copying;

/// <summary>Writes stamps and what verifying them found.</summary>
internal static class StampCodec
{
    /// <summary>Most stamps of one request; longer lists take several.</summary>
    public const int MaxStamps = 7000;

    private const int StampBytes = 4 + 4 + 1;
    private const int MismatchBytes = 4 + 4 + 8 + 4 + 4 + 8 + 8 + 8;

    public static void WriteStamps(ref BodyWriter writer, ImmutableArray<BlockStamp> stamps)
    {
        writer.WriteInt32(stamps.Length);
        foreach (var stamp in stamps)
        {
            writer.WriteInt32(stamp.Block.Value);
            writer.WriteUInt32(stamp.Version);
            writer.WriteByte(stamp.Whole ? (byte)1 : (byte)0);
        }
    }

    public static ImmutableArray<BlockStamp> ReadStamps(ref BodyReader reader)
    {
        var count = reader.ReadCount(MaxStamps, StampBytes);
        var stamps = ImmutableArray.CreateBuilder<BlockStamp>(count);
        for (var i = 0; i < count; i++)
        {
            var block = new BlockId(reader.ReadInt32());
            var version = reader.ReadUInt32();
            var whole = reader.ReadByte();
            if (whole > 1)
            {
                reader.Fail($"{whole} is neither yes nor no");
            }

            stamps.Add(new BlockStamp(block, version, whole == 1));
        }

        return stamps.MoveToImmutable();
    }

    public static void WriteReport(ref BodyWriter writer, VerifyReport report)
    {
        writer.WriteInt32(report.BlockCount);
        writer.WriteInt32(report.MismatchingBlockCount);
        writer.WriteInt64(report.WordCount);
        writer.WriteInt32(report.Mismatches.Length);
        foreach (var mismatch in report.Mismatches)
        {
            writer.WriteInt32(mismatch.Block.Value);
            writer.WriteUInt32(mismatch.Version);
            writer.WriteInt64(mismatch.MismatchCount);
            writer.WriteInt32(mismatch.Layer);
            writer.WriteInt32(mismatch.Buffer);
            writer.WriteInt64(mismatch.First.WordIndex);
            writer.WriteUInt64(mismatch.First.Expected);
            writer.WriteUInt64(mismatch.First.Found);
        }
    }

    public static VerifyReport ReadReport(ref BodyReader reader)
    {
        var blocks = reader.ReadInt32();
        var mismatching = reader.ReadInt32();
        var words = reader.ReadInt64();
        var count = reader.ReadCount(VerifyReport.MaxMismatches, MismatchBytes);
        if (blocks < 0 || mismatching < 0 || mismatching > blocks || words < 0 || count > mismatching)
        {
            reader.Fail("a report's counts contradict each other");
            return VerifyReport.Empty;
        }

        var mismatches = ImmutableArray.CreateBuilder<BlockMismatch>(count);
        for (var i = 0; i < count; i++)
        {
            mismatches.Add(new BlockMismatch(
                new BlockId(reader.ReadInt32()),
                reader.ReadUInt32(),
                reader.ReadInt64(),
                reader.ReadInt32(),
                reader.ReadInt32(),
                new StampMismatch(reader.ReadInt64(), reader.ReadUInt64(), reader.ReadUInt64())));
        }

        return new VerifyReport(blocks, mismatching, words, mismatches.MoveToImmutable());
    }
}
