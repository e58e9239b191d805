using System.Buffers;
using CsCheck;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Tests.Contracts;

public sealed class WireFormatTests
{
    private static readonly Gen<Extent> AnyExtent =
        Gen.Select(Gen.Int, Gen.Int, Gen.Byte, Gen.UInt, (group, first, order, generation) => new Extent(group, new PageId(first), order, generation));

    private static readonly Gen<Refusal> AnyRefusal =
        Gen.Select(Gen.Enum<RefusalReason>(), Gen.String[Gen.Char.AlphaNumeric, 0, 40], Gen.Long, Gen.Long,
            (reason, detail, requestedBytes, freeBytes) => new Refusal(reason, detail, requestedBytes, freeBytes));

    private static readonly Gen<Decision> AnyDecision =
        from pool in Gen.Long
        from counter in Gen.Long
        from nodeUid in Gen.Long
        from seq in Gen.Long
        from kind in Gen.Enum<DecisionKind>()
        from extents in AnyExtent.Array[0, 20]
        from abortedSeq in Gen.Long
        from session in Gen.Guid
        from request in Gen.Long
        from ackedThrough in Gen.Long
        select new Decision(
            new PoolId(pool), new Epoch(counter, nodeUid), seq, kind, [.. extents], abortedSeq, new SessionId(session), new RequestId(request),
            new RequestId(ackedThrough), EngineStep.None);

    private static readonly Gen<DecisionAnswer> AnyAnswer =
        from pool in Gen.Long
        from seq in Gen.Long
        from lastSeq in Gen.Long
        from gpu in Gen.String[Gen.Char.AlphaNumeric, 0, GpuId.MaxLength]
        from incarnation in Gen.Long
        from outcome in Gen.Enum<DecisionOutcome>()
        from high in Gen.ULong
        from low in Gen.ULong
        from refusal in AnyRefusal.Null()
        from quarantined in AnyExtent.Array[0, 5]
        from microseconds in Gen.Double
        select new DecisionAnswer(
            new PoolId(pool), new Epoch(seq, lastSeq), seq, lastSeq, GpuId.TryParse(gpu, out var id) ? id : default, new HostIncarnation(incarnation),
            outcome, new LayoutDigest(new UInt128(high, low)), refusal, [.. quarantined], microseconds);

    [Fact]
    public void Decision_AnyValues_ReadAsWritten() => AnyDecision.Sample(decision =>
    {
        var reader = new WireReader(Encode(decision));

        Assert.True(reader.TryReadDecision(out var read));
        Assert.True(reader.TryEnd());
        Assert.Equal(decision with { Extents = default }, read with { Extents = default });
        Assert.Equal(decision.Extents.AsEnumerable(), read.Extents.AsEnumerable());
    });

    [Fact]
    public void DecisionAnswer_AnyValues_ReadAsWritten() => AnyAnswer.Sample(answer =>
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(buffer);
        writer.WriteDecisionAnswer(answer);
        writer.Flush();
        var reader = new WireReader(buffer.WrittenSpan);

        Assert.True(reader.TryReadDecisionAnswer(out var read));
        Assert.True(reader.TryEnd());
        Assert.Equal(answer with { Quarantined = default }, read with { Quarantined = default });
        Assert.Equal(answer.Quarantined.AsEnumerable(), read.Quarantined.AsEnumerable());
    });

    [Fact]
    public void Decision_SpanThatIsTooShort_OverflowsAtEveryLength() => AnyDecision.Sample(
        decision =>
        {
            var whole = Encode(decision);
            for (var length = 0; length <= whole.Length; length++)
            {
                var destination = new byte[length];
                var writer = new WireWriter(destination);
                writer.WriteDecision(decision);

                Assert.Equal(length < whole.Length, writer.IsOverflown);
            }
        },
        iter: 20);

    [Fact]
    public void Decision_SpanOfItsLength_HoldsTheSameBytesAsAGrowingBuffer() => AnyDecision.Sample(decision =>
    {
        var whole = Encode(decision);
        var destination = new byte[whole.Length];
        var writer = new WireWriter(destination);
        writer.WriteDecision(decision);

        Assert.Equal(whole.Length, writer.WrittenBytes);
        Assert.Equal(whole, destination);
    });

    [Fact]
    public void Decision_Truncated_FaultsWithoutReading() => AnyDecision.Sample(
        decision =>
        {
            var whole = Encode(decision);
            for (var length = 0; length < whole.Length; length++)
            {
                var reader = new WireReader(whole.AsSpan(0, length));

                Assert.False(reader.TryReadDecision(out var read));
                Assert.Null(read);
                Assert.True(reader.Fault is WireFault.Truncated or WireFault.BadCount);
                Assert.InRange(reader.OffsetBytes, 0, length);
            }
        },
        iter: 20);

    [Fact]
    public void Decision_FrozenLayout_IsTheOneOfThisVersion()
    {
        var decision = new Decision(
            new PoolId(1), new Epoch(2, 3), 4, DecisionKind.Abort, [new Extent(6, new PageId(8), 3, 9)], 5, default, new RequestId(7), new RequestId(10), new EngineStep(12));

        Assert.Equal(
            "0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" + "03" + "0500000000000000"
            + "00000000000000000000000000000000" + "0700000000000000" + "0A00000000000000" + "01000000" + "06000000" + "08000000" + "03" + "09000000"
            + "0C00000000000000",
            Convert.ToHexString(Encode(decision)));
    }

    [Theory]
    [InlineData("00", WireFault.UndefinedValue)]
    [InlineData("FF", WireFault.UndefinedValue)]
    [InlineData("01FEFFFFFF", WireFault.BadCount)]
    [InlineData("01FFFFFFFF", WireFault.BadText)]
    [InlineData("01FFFFFF7F", WireFault.BadCount)]
    [InlineData("0102000000C328", WireFault.BadText)]
    public void Refusal_BadBytes_NameTheFault(string hex, WireFault fault)
    {
        var reader = new WireReader(Convert.FromHexString(hex));

        Assert.False(reader.TryReadRefusal(out _));
        Assert.Equal(fault, reader.Fault);
        Assert.Contains(fault.ToString(), reader.ToException("Refusal").Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0520202020", WireFault.Truncated)]
    [InlineData("0320202020", WireFault.BadText)]
    [InlineData("02C3B6", WireFault.BadText)]
    [InlineData("41", WireFault.BadCount)]
    public void GpuId_BadBytes_NameTheFault(string hex, WireFault fault)
    {
        var reader = new WireReader(Convert.FromHexString(hex));

        Assert.False(reader.TryReadGpuId(out var id));
        Assert.Equal(default, id);
        Assert.Equal(fault, reader.Fault);
    }

    [Fact]
    public void Extents_DefaultArray_ReadAsEmpty()
    {
        var bytes = new byte[4];
        var writer = new WireWriter(bytes);
        writer.WriteExtents(default);
        var reader = new WireReader(bytes);

        Assert.True(reader.TryReadExtents(out var extents));
        Assert.False(extents.IsDefault);
        Assert.Empty(extents);
    }

    [Fact]
    public void Reader_AfterAFault_KeepsFailing()
    {
        var reader = new WireReader([2, 1, 1, 1, 1]);

        Assert.False(reader.TryReadFlag(out _));
        Assert.False(reader.TryReadInt32(out _));
        Assert.False(reader.TryEnd());
        Assert.Equal(WireFault.UndefinedValue, reader.Fault);
    }

    [Fact]
    public void Writer_ValueThatDoesNotFit_LeavesOutAllAfterIt()
    {
        var bytes = new byte[6];
        var writer = new WireWriter(bytes);
        writer.WriteInt32(-1);
        writer.WriteInt64(-1);
        writer.WriteByte(0xFF);

        Assert.True(writer.IsOverflown);
        Assert.Equal(4, writer.WrittenBytes);
        Assert.Equal("FFFFFFFF0000", Convert.ToHexString(bytes));
    }

    private static byte[] Encode(Decision decision)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(buffer);
        writer.WriteDecision(decision);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }
}
