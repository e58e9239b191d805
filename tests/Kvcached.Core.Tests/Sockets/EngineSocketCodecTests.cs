using System.Buffers;
using CsCheck;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;

namespace Kvcached.Core.Tests.Sockets;

public sealed class EngineSocketCodecTests
{
    public static TheoryData<Type, SampleStyle> MessagesInAllStyles()
    {
        var data = new TheoryData<Type, SampleStyle>();
        foreach (var message in SocketMessages.All)
        {
            foreach (var style in Enum.GetValues<SampleStyle>())
            {
                data.Add(message, style);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(MessagesInAllStyles))]
    public void Message_AnyStyle_ArrivesAsSent(Type type, SampleStyle style) => AssertJourney(SocketMessages.Make(type, style), 0);

    [Fact]
    public void Message_RandomWithRandomDescriptors_ArrivesAsSent() =>
        Gen.Select(Gen.Int[0, SocketMessages.All.Count - 1], Gen.Int, Gen.Int[0, 600]).Sample(
            (index, seed, descriptors) => AssertJourney(SocketMessages.Make(SocketMessages.All[index], SampleStyle.Random, seed), descriptors),
            iter: 3000);

    [Fact]
    public void MessageTypes_Defined_AreAllUsedAndSayWhoSends()
    {
        var used = SocketMessages.All.ToDictionary(type => type, type => SocketMessages.Encode(SocketMessages.Make(type)).Type);

        Assert.Equal(Enum.GetValues<SocketMessageType>().Except([SocketMessageType.None]).Order(), used.Values.Order());
        foreach (var (message, type) in used)
        {
            Assert.Equal(message.Name, type.ToString());
            Assert.Equal(IsSaidByHost(message), type.IsFromHost());
        }
    }

    [Fact]
    public void RoleOf_EveryType_IsThatOfItsProtocol()
    {
        foreach (var message in SocketMessages.All)
        {
            var (type, _) = SocketMessages.Encode(SocketMessages.Make(message));
            var expected = message.DeclaringType == typeof(WorkerProtocol) ? EngineRole.Worker
                : message.DeclaringType == typeof(EngineProtocol) || message.Name.EndsWith("Tags", StringComparison.Ordinal) ? EngineRole.Scheduler
                : (EngineRole?)null;
            Assert.Equal(expected, type.RoleOf());
        }
    }

    [Fact]
    public void TryRead_EveryTruncation_IsRefused()
    {
        foreach (var message in SocketMessages.All)
        {
            var (type, body) = SocketMessages.Encode(SocketMessages.Make(message));
            for (var length = 0; length < body.Length; length++)
            {
                Assert.False(EngineSocketCodec.TryRead(type, body.AsSpan(0, length), out var read, out var fault));
                Assert.Null(read);
                Assert.Equal((SocketFaultKind.BadBody, type), (fault.Kind, fault.Type));
                Assert.NotEqual(WireFault.None, fault.Wire);
            }

            Assert.False(EngineSocketCodec.TryRead(type, [.. body, 0], out _, out var tooLong));
            Assert.Equal((SocketFaultKind.BadBody, WireFault.TrailingBytes, body.Length), (tooLong.Kind, tooLong.Wire, tooLong.OffsetBytes));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0x0083)]
    [InlineData(0x010B)]
    [InlineData(0x0301)]
    [InlineData(0xFFFF)]
    public void TryRead_TypeThatDoesntExist_IsRefused(int type)
    {
        Assert.False(EngineSocketCodec.TryRead((SocketMessageType)type, [], out _, out var fault));
        Assert.Equal(new SocketFault(SocketFaultKind.UnknownType, (SocketMessageType)type), fault);
    }

    [Fact]
    public void TryRead_DescriptorsThatCannotCome_AreRefused()
    {
        foreach (var message in SocketMessages.All)
        {
            var (type, body) = SocketMessages.Encode(SocketMessages.Make(message));
            for (var count = 0; count < 4; count++)
            {
                var isRead = EngineSocketCodec.TryRead(type, body, count, out var read, out var fault);
                Assert.Equal(type.AllowsDescriptors(count), isRead);
                Assert.Equal(isRead, read is not null);
                Assert.Equal(isRead ? SocketFaultKind.None : SocketFaultKind.DescriptorsNotAllowed, fault.Kind);
            }
        }
    }

    [Fact]
    public void Write_WhatIsNoMessage_IsABugOfTheCaller()
    {
        Assert.Throws<ArgumentException>(() => EngineSocketCodec.Write("text", new ArrayBufferWriter<byte>()));
        Assert.Throws<ArgumentException>(() => EngineSocketCodec.Write(null!, new ArrayBufferWriter<byte>()));
    }

    [Fact]
    public void TryRead_CountThatTheBytesCannotHold_TakesNoMemory()
    {
        var (type, body) = SocketMessages.Encode(new EngineProtocol.PagesAllocated(default, default, default, []));
        BitConverter.TryWriteBytes(body.AsSpan(body.Length - sizeof(int)), int.MaxValue);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(EngineSocketCodec.TryRead(type, body, out _, out var fault));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4096);
        Assert.Equal(WireFault.BadCount, fault.Wire);
    }

    [Fact]
    public void Fault_AsRefusal_SaysWhatAndWhere()
    {
        var refusal = new SocketFault(SocketFaultKind.BadBody, SocketMessageType.OpenPool, WireFault.BadText, 40).ToRefusal();

        Assert.Equal(RefusalReason.InvalidMessage, refusal.Reason);
        Assert.StartsWith("OpenPool can't be read: BadText at byte 40 of its body.", refusal.Detail, StringComparison.Ordinal);
        Assert.StartsWith("message type 0x0bad: UnknownType", new SocketFault(SocketFaultKind.UnknownType, (SocketMessageType)0xBAD).ToString(), StringComparison.Ordinal);
    }

    private static void AssertJourney(object sent, int wantedDescriptors)
    {
        var (type, body) = SocketMessages.Encode(sent);
        var descriptors = SocketMessages.DescriptorsFor(type, wantedDescriptors);
        var assembler = new FrameAssembler();
        var packets = SocketMessages.Split(type, body, descriptors);
        for (var i = 0; i < packets.Count; i++)
        {
            var (packet, count) = packets[i];
            var status = assembler.Add(packet, count, out var arrived);
            if (i < packets.Count - 1)
            {
                Assert.Equal(FrameStatus.Incomplete, status);
                continue;
            }

            Assert.Equal((FrameStatus.Message, type, descriptors), (status, assembler.Type, assembler.DescriptorCount));
            Assert.True(EngineSocketCodec.TryRead(type, arrived, descriptors, out var read, out var fault), fault.ToString());
            Assert.Null(DeepDifference.Find(sent, read));
            Assert.False(DeepDifference.HoldsDefaultList(read));
        }
    }

    private static bool IsSaidByHost(Type message) =>
        message.IsAssignableTo(typeof(EngineProtocol.IReply)) || message.IsAssignableTo(typeof(EngineProtocol.IEvent))
        || new[]
        {
            typeof(SocketProtocol.Welcome), typeof(SocketProtocol.Rejected), typeof(SocketProtocol.PoolTags), typeof(WorkerProtocol.RankAttached),
            typeof(WorkerProtocol.AttachRefused), typeof(WorkerProtocol.Operate), typeof(WorkerProtocol.PoolGone), typeof(WorkerProtocol.TableComplete),
        }.Contains(message);
}
