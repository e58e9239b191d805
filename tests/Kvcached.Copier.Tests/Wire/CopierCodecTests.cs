using System.Buffers.Binary;
using CsCheck;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Tests.Wire;

public sealed class CopierCodecTests
{
    private const int HeaderBytes = 24;
    private const int KindOffset = 4;
    private const int BodyLengthOffset = 16;

    [Fact]
    public void ReadRequest_WhatWasWritten_IsTheSame() => Gen.Select(Messages.Requests, Gen.Long).Sample((request, id) =>
    {
        var frame = FrameOf(request, id);
        Assert.Null(CopierCodec.ReadRequest(frame, Messages.DescriptorsOf(request), out var readId, out var read));
        Assert.Equal(id, readId);
        Assert.Equal(Messages.Describe(request), Messages.Describe(read!));
    });

    [Fact]
    public void ReadReply_WhatWasWritten_IsTheSame() => Gen.Select(Messages.Replies, Gen.Long).Sample((reply, id) =>
    {
        var frame = FrameOf(reply, id);
        Assert.Null(CopierCodec.ReadReply(frame, 0, out var readId, out var read));
        Assert.Equal(id, readId);
        Assert.Equal(Messages.Describe(reply), Messages.Describe(read!));
    });

    [Fact]
    public void Messages_EveryKind_IsGenerated()
    {
        var kinds = typeof(CopierProtocol).GetNestedTypes().Where(t => !t.IsInterface).Select(t => t.Name).Order();
        var generated = Messages.Requests.Array[300].Single().Select(r => r.GetType().Name)
            .Concat(Messages.Replies.Array[300].Single().Select(r => r.GetType().Name)).Distinct().Order();
        Assert.Equal(kinds, generated);
    }

    [Fact]
    public void ReadRequest_CutOrLengthened_IsRefused() => Gen.Select(Messages.Requests, Gen.Int[0, int.MaxValue]).Sample((request, cut) =>
    {
        var frame = FrameOf(request, 1);
        var descriptors = Messages.DescriptorsOf(request);
        Assert.NotNull(CopierCodec.ReadRequest(frame.AsSpan(0, cut % frame.Length), descriptors, out _, out var read));
        Assert.Null(read);
        Assert.NotNull(CopierCodec.ReadRequest([.. frame, 0], descriptors, out _, out _));
        Assert.NotNull(CopierCodec.ReadRequest(frame, descriptors + 1, out _, out _));

        var honest = frame.AsSpan(0, HeaderBytes + (cut % (frame.Length - HeaderBytes + 1))).ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(honest.AsSpan(BodyLengthOffset), honest.Length - HeaderBytes);
        Assert.Equal(honest.Length == frame.Length, CopierCodec.ReadRequest(honest, descriptors, out _, out _) is null);
    });

    [Fact]
    public void Read_BytesChanged_NeverThrows() =>
        Gen.Select(Messages.Requests, Messages.Replies, Gen.Select(Gen.Int[0, int.MaxValue], Gen.Byte).Array[1, 8]).Sample((request, reply, changes) =>
        {
            var asked = FrameOf(request, 1);
            var answered = FrameOf(reply, 1);
            foreach (var (at, value) in changes)
            {
                asked[at % asked.Length] = value;
                answered[at % answered.Length] = value;
            }

            Assert.Equal(CopierCodec.ReadRequest(asked, Messages.DescriptorsOf(request), out _, out var readRequest) is null, readRequest is not null);
            Assert.Equal(CopierCodec.ReadReply(answered, 0, out _, out var readReply) is null, readReply is not null);
        });

    [Fact]
    public void Read_AnyBytes_NeverThrows() => Gen.Byte.Array[0, 200].Sample(bytes =>
    {
        Assert.NotNull(CopierCodec.ReadRequest(bytes, 0, out _, out _));
        Assert.NotNull(CopierCodec.ReadReply(bytes, 0, out _, out _));
    });

    [Fact]
    public void ReadRequest_CountBeyondTheFrame_IsRefusedBeforeItIsBelieved()
    {
        var frame = FrameOf(new Stamp(new PoolId(1), 0, [new BlockStamp(new BlockId(1), 1, false)]), 1);
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(HeaderBytes + 12), int.MaxValue);
        Assert.Contains("2147483647", CopierCodec.ReadRequest(frame, 0, out _, out _));
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(HeaderBytes + 12), 2);
        Assert.NotNull(CopierCodec.ReadRequest(frame, 0, out _, out _));
    }

    [Fact]
    public void ReadRequest_DescriptorsWithAnotherRequest_IsRefused()
    {
        var frame = FrameOf(new Detach(new PoolId(1)), 1);
        frame[KindOffset + 2] = 1;
        Assert.Contains("brought descriptors", CopierCodec.ReadRequest(frame, 1, out _, out _));
    }

    [Fact]
    public void Read_MessageOfTheOtherSide_IsRefused()
    {
        Assert.Contains("other side", CopierCodec.ReadRequest(FrameOf(new Done(), 1), 0, out _, out _));
        Assert.Contains("other side", CopierCodec.ReadReply(FrameOf(new Exit(), 1), 0, out _, out _));
    }

    [Fact]
    public void Write_LongestLists_FitAFrame()
    {
        var stamps = Enumerable.Range(0, 4096).Select(b => new BlockStamp(new BlockId(b), 1, true));
        Assert.NotEqual(0, CopierCodec.Write(new byte[CopierCodec.MaxFrameBytes], 1, (IRequest)new Verify(new PoolId(1), 0, [.. stamps])));
        Assert.Equal(0, CopierCodec.Write(
            new byte[CopierCodec.MaxFrameBytes], 1, (IRequest)new Verify(new PoolId(1), 0, [.. Enumerable.Repeat(default(BlockStamp), 10_000)])));
    }

    [Fact]
    public void ReadRequest_MapOutOfRange_IsRefused()
    {
        foreach (var map in new[]
        {
            new Map(new PoolId(1), new Extent(0, new PageId(0), 0, 1), 5, 6, 2),
            new Map(new PoolId(1), new Extent(0, new PageId(0), 0, 1), 0, 5000, 1),
            new Map(new PoolId(1), new Extent(0, new PageId(0), 0, 1), 0, 1, 0),
        })
        {
            Assert.Contains("out of range", CopierCodec.ReadRequest(FrameOf(map, 1), map.DescriptorCount, out _, out _));
        }
    }

    internal static byte[] FrameOf(IRequest request, long id)
    {
        var frame = new byte[CopierCodec.MaxFrameBytes];
        var length = CopierCodec.Write(frame, id, request);
        Assert.NotEqual(0, length);
        return frame[..length];
    }

    internal static byte[] FrameOf(IReply reply, long id)
    {
        var frame = new byte[CopierCodec.MaxFrameBytes];
        return frame[..CopierCodec.Write(frame, id, reply)];
    }
}
