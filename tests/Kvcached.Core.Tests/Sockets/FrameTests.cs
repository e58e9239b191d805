using CsCheck;
using Kvcached.Core.Sockets;
using static Kvcached.Core.Tests.Sockets.SocketMessages;

namespace Kvcached.Core.Tests.Sockets;

public sealed class FrameTests
{
    private const SocketMessageType Operate = SocketMessageType.Operate;

    [Fact]
    public void Splitter_AnySizes_FramesWithinLimitsThatAssembleToTheSame() =>
        Gen.Select(Gen.Int[0, 300_000], Gen.Int[0, 3000]).Sample(
            (bodyBytes, descriptors) =>
            {
                var body = new byte[bodyBytes];
                new Random(bodyBytes).NextBytes(body);
                var packets = Split(Operate, body, descriptors);
                Assert.All(packets, item => Assert.True(item.Packet.Length <= SocketLimits.MaxFrameBytes && item.DescriptorCount <= SocketLimits.MaxFrameDescriptors));
                var leastFrames = Math.Max(1, Math.Max(
                    (bodyBytes + SocketLimits.MaxFrameBodyBytes - 1) / SocketLimits.MaxFrameBodyBytes,
                    (descriptors + SocketLimits.MaxFrameDescriptors - 1) / SocketLimits.MaxFrameDescriptors));
                Assert.Equal(leastFrames, packets.Count);

                var assembler = new FrameAssembler();
                foreach (var (packet, count) in packets[..^1])
                {
                    Assert.Equal(FrameStatus.Incomplete, assembler.Add(packet, count, out _));
                }

                Assert.Equal(FrameStatus.Message, assembler.Add(packets[^1].Packet, packets[^1].DescriptorCount, out var arrived));
                Assert.Equal(descriptors, assembler.DescriptorCount);
                Assert.Equal(0, assembler.HeldBytes);
                Assert.True(arrived.SequenceEqual(body));
            },
            iter: 300);

    [Fact]
    public void Splitter_LargestMessage_IsSplitAndOneMoreIsRefused()
    {
        var packets = Split(Operate, new byte[SocketLimits.MaxMessageBytes], SocketLimits.MaxMessageDescriptors);
        var assembler = new FrameAssembler();
        foreach (var (packet, count) in packets[..^1])
        {
            Assert.Equal(FrameStatus.Incomplete, assembler.Add(packet, count, out _));
        }

        Assert.Equal(FrameStatus.Message, assembler.Add(packets[^1].Packet, packets[^1].DescriptorCount, out var body));
        Assert.Equal((SocketLimits.MaxMessageBytes, SocketLimits.MaxMessageDescriptors), (body.Length, assembler.DescriptorCount));

        Assert.Throws<ArgumentOutOfRangeException>(() => new FrameSplitter(Operate, new byte[SocketLimits.MaxMessageBytes + 1], 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FrameSplitter(Operate, default, SocketLimits.MaxMessageDescriptors + 1));
    }

    [Fact]
    public void Splitter_SameFrameTwice_IsTheSameFrame()
    {
        var splitter = new FrameSplitter(Operate, new byte[100_000], 300);
        var first = new byte[splitter.FrameBytes];
        var again = new byte[splitter.FrameBytes];

        splitter.Write(first);
        splitter.Write(again);

        Assert.Equal(first, again);
        Assert.True(splitter.MoveNext());
        Assert.Equal((253, 47), (splitter.FirstDescriptor, splitter.FrameDescriptorCount));
        Assert.False(splitter.MoveNext());
    }

    public static TheoryData<SocketFaultKind, byte[], int> BadPackets()
    {
        var good = Frame(Operate, false, 0, 1, 2, 3);
        return new TheoryData<SocketFaultKind, byte[], int>
        {
            { SocketFaultKind.NoHeader, [], 0 },
            { SocketFaultKind.NoHeader, good[..11], 0 },
            { SocketFaultKind.WrongLength, good[..14], 0 },
            { SocketFaultKind.WrongLength, [.. good, 0], 0 },
            { SocketFaultKind.FrameTooLong, Frame(Operate, false, 0, new byte[SocketLimits.MaxFrameBodyBytes + 1]), 0 },
            { SocketFaultKind.UndefinedFlag, With(good, 6, 2), 0 },
            { SocketFaultKind.UndefinedFlag, With(good, 7, 1), 0 },
            { SocketFaultKind.UndefinedFlag, With(good, 10, 1), 0 },
            { SocketFaultKind.WrongDescriptorCount, good, 1 },
            { SocketFaultKind.WrongDescriptorCount, Frame(Operate, false, 2, 1), 1 },
            { SocketFaultKind.TooManyDescriptors, Frame(Operate, false, 254, 1), 254 },
            { SocketFaultKind.EmptyFrame, Frame(Operate, true, 0), 0 },
        };
    }

    [Theory]
    [MemberData(nameof(BadPackets))]
    public void Assembler_PacketThatBreaksARule_IsATypedFaultThatStays(SocketFaultKind kind, byte[] packet, int descriptorCount)
    {
        var assembler = new FrameAssembler();

        Assert.Equal(FrameStatus.Fault, assembler.Add(packet, descriptorCount, out _));
        Assert.Equal(kind, assembler.Fault.Kind);
        Assert.Equal(FrameStatus.Fault, assembler.Add(Frame(Operate, false, 0, 1), 0, out _));
        Assert.Equal(kind, assembler.Fault.Kind);
    }

    [Fact]
    public void Assembler_AnotherTypeInMidMessage_IsAFault()
    {
        var assembler = new FrameAssembler();

        Assert.Equal(FrameStatus.Incomplete, assembler.Add(Frame(Operate, true, 0, 1), 0, out _));
        Assert.Equal(FrameStatus.Fault, assembler.Add(Frame(SocketMessageType.PoolGone, false, 0, 1), 0, out _));
        Assert.Equal(SocketFaultKind.TypeChanged, assembler.Fault.Kind);
        Assert.Equal(0, assembler.HeldBytes);
    }

    [Fact]
    public void Assembler_LastFrameWithNothing_IsAFault()
    {
        var assembler = new FrameAssembler();

        Assert.Equal(FrameStatus.Incomplete, assembler.Add(Frame(Operate, true, 1), 1, out _));
        Assert.Equal(FrameStatus.Fault, assembler.Add(Frame(Operate, false, 0), 0, out _));
        Assert.Equal(SocketFaultKind.EmptyFrame, assembler.Fault.Kind);
    }

    [Fact]
    public void Assembler_EmptyMessage_IsAMessage()
    {
        Assert.Equal(FrameStatus.Message, new FrameAssembler().Add(Frame(SocketMessageType.Detach, false, 0), 0, out var body));
        Assert.Equal(0, body.Length);
    }

    [Fact]
    public void Assembler_MessageWithoutEnd_IsStoppedAtTheLimitOfBytes()
    {
        var assembler = new FrameAssembler();
        var packet = Frame(Operate, true, 0, new byte[SocketLimits.MaxFrameBodyBytes]);
        var frames = 0;
        while (assembler.Add(packet, 0, out _) == FrameStatus.Incomplete)
        {
            frames++;
            Assert.Equal(frames * SocketLimits.MaxFrameBodyBytes, assembler.HeldBytes);
        }

        Assert.Equal(SocketFaultKind.MessageTooLong, assembler.Fault.Kind);
        Assert.Equal(SocketLimits.MaxMessageBytes / SocketLimits.MaxFrameBodyBytes, frames);
        Assert.Equal(0, assembler.HeldBytes);
    }

    [Fact]
    public void Assembler_DescriptorsWithoutEnd_AreStoppedAtTheLimit()
    {
        var assembler = new FrameAssembler();
        var packet = Frame(Operate, true, 253);
        while (assembler.Add(packet, 253, out _) == FrameStatus.Incomplete)
        {
            Assert.True(assembler.DescriptorCount <= SocketLimits.MaxMessageDescriptors);
        }

        Assert.Equal(SocketFaultKind.MessageHasTooManyDescriptors, assembler.Fault.Kind);
    }

    [Fact]
    public void Assembler_FirstPartOfALongMessage_TakesNoMoreMemoryThanTwiceWhatCame()
    {
        var assembler = new FrameAssembler();
        var packet = Frame(Operate, true, 0, new byte[1000]);
        assembler.Add(packet, 0, out _);

        var before = GC.GetAllocatedBytesForCurrentThread();
        new FrameAssembler().Add(packet, 0, out _);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1000, 2000);
    }

    private static byte[] With(byte[] packet, int place, byte value)
    {
        byte[] changed = [.. packet];
        changed[place] = value;
        return changed;
    }
}
