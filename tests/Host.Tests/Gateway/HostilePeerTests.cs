using System.Buffers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Gateway;
using Kvcached.Host.Tests.Support;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>Processes that mean ill, or know no better: each costs its own connection, and nothing stays behind.</summary>
[Collection(DescriptorCounting.Name)]
public sealed class HostilePeerTests
{
    /// <summary>What a hostile process does, by name.</summary>
    private static readonly Dictionary<string, Action<UnixMessageChannel>> Attacks = new()
    {
        ["garbage"] = channel => channel.Send([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], default),
        ["short"] = channel => channel.Send([1], default),
        ["too long"] = channel => channel.Send(new byte[SocketLimits.MaxFrameBytes + 1], default),
        ["half a message"] = channel => channel.Send(Frame(SocketMessageType.Hello, true, 0, [1, 2, 3]), default),
        ["half a message with descriptors"] = channel => channel.Send(Frame(SocketMessageType.AttachRank, true, 2, [1]), [Opened(), Opened()]),
        ["descriptors beyond the header"] = channel => channel.Send(Frame(SocketMessageType.Hello, false, 0, Body(RawEngine.Hello(EngineRole.Worker))), [Opened()]),
        ["many descriptors"] = channel => channel.Send(Frame(SocketMessageType.OpenSession, false, 253, [1]), [.. Enumerable.Range(0, 253).Select(_ => Opened())]),
        ["its own socket as a process"] = channel => channel.Send(Frame(SocketMessageType.Hello, false, 1, Body(RawEngine.Hello(EngineRole.Worker))), [channel.Socket]),
        ["command before hello"] = channel => channel.Send(Frame(SocketMessageType.CloseSession, false, 0, new byte[16]), default),
        ["unknown type"] = channel => channel.Send(Frame((SocketMessageType)0x7777, false, 0, [1]), default),
        ["version of another age"] = channel => channel.Send(
            Frame(SocketMessageType.Hello, false, 0, Body(new SocketProtocol.Hello(2, 9, EngineRole.Worker, "new", 1))), default),
        ["nothing"] = _ => { },
        ["flood"] = channel =>
        {
            for (var i = 0; i < 1000; i++)
            {
                channel.TrySend(Frame(SocketMessageType.Operate, true, 0, new byte[1000]), default);
            }
        },
    };

    public static TheoryData<string> Names() => [.. Attacks.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Attack_RepeatedAndBrokenOff_LeavesNothingOpenAndOthersServed(string name)
    {
        using var rig = new GatewayRig();
        using var neighbour = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var before = GatewayRig.OpenDescriptors();
        for (var i = 0; i < 50; i++)
        {
            using var engine = RawEngine.Connect(rig.SocketPath);
            Attacks[name](engine.Channel);
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 1 && rig.Gateway.UnfinishedBytes == 0);
        await rig.UntilAsync(() => GatewayRig.OpenDescriptors() <= before);
        neighbour.Say(new EngineProtocol.OpenSession(Core.Ids.SessionId.New(), "test", "default"));
        Assert.Equal("attach", rig.NextOfSessions().What);
    }

    [Theory]
    [InlineData("garbage", RefusalReason.InvalidMessage)]
    [InlineData("too long", RefusalReason.InvalidMessage)]
    [InlineData("many descriptors", RefusalReason.InvalidMessage)]
    [InlineData("command before hello", RefusalReason.InvalidMessage)]
    [InlineData("unknown type", RefusalReason.InvalidMessage)]
    [InlineData("version of another age", RefusalReason.UnsupportedVersion)]
    public async Task Attack_IsAnsweredWithTheReason(string name, RefusalReason expected)
    {
        using var rig = new GatewayRig();
        using var engine = RawEngine.Connect(rig.SocketPath);
        Attacks[name](engine.Channel);

        Assert.Equal(expected, Assert.IsType<SocketProtocol.Rejected>(await engine.HearAsync()).Refusal.Reason);
        Assert.Null(await engine.HearAsync());
    }

    [Fact]
    public async Task Silence_UntilTheDeadline_IsRejected()
    {
        using var rig = new GatewayRig(new GatewayOptions { HelloDeadline = TimeSpan.FromMilliseconds(50) });
        using var engine = RawEngine.Connect(rig.SocketPath);

        Assert.Equal(RefusalReason.DeadlineExceeded, Assert.IsType<SocketProtocol.Rejected>(await engine.HearAsync()).Refusal.Reason);
        Assert.Null(await engine.HearAsync());
    }

    [Fact]
    public async Task Connections_OverTheLimit_AreToldAndTakeNobodysPlace()
    {
        using var rig = new GatewayRig(new GatewayOptions { MaxConnectionsPerUser = 2 });
        using var first = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        using var second = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        using (var third = RawEngine.Connect(rig.SocketPath))
        {
            Assert.Equal(RefusalReason.Busy, Assert.IsType<SocketProtocol.Rejected>(await third.HearAsync()).Refusal.Reason);
            Assert.Null(await third.HearAsync());
        }

        second.Dispose();
        await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 1);
        using var next = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
    }

    [Fact]
    public async Task UnfinishedMessages_OverTheLimit_AreRejected()
    {
        using var rig = new GatewayRig(new GatewayOptions { MaxUnfinishedBytes = 100_000 });
        using var first = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        using var second = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Worker);
        first.Channel.Send(Frame(SocketMessageType.AttachRank, true, 0, new byte[60_000]), default);
        await rig.UntilAsync(() => rig.Gateway.UnfinishedBytes == 60_000);
        second.Channel.Send(Frame(SocketMessageType.AttachRank, true, 0, new byte[60_000]), default);

        Assert.Equal(RefusalReason.Busy, Assert.IsType<SocketProtocol.Rejected>(await second.HearAsync()).Refusal.Reason);
        await rig.UntilAsync(() => rig.Gateway.UnfinishedBytes == 60_000);
    }

    [Fact]
    public async Task IdleConnections_TwoThousand_CostNoThreads()
    {
        FileDescriptorBudget.ForProcess();
        using var rig = new GatewayRig();
        using var first = await RawEngine.GreetAsync(rig.SocketPath, EngineRole.Scheduler);
        var before = ThreadCount();
        var engines = new List<RawEngine>();
        try
        {
            for (var i = 0; i < 2000; i++)
            {
                var engine = RawEngine.Connect(rig.SocketPath);
                engines.Add(engine);
                engine.Say(RawEngine.Hello(i % 2 == 0 ? EngineRole.Scheduler : EngineRole.Worker));
            }

            await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 2001);

            // The pool's own threads come and go with the test's waiting; a thread per connection would be thousands.
            Assert.InRange(ThreadCount(), 1, before + 20);
            Assert.Equal(1, rig.Gateway.Processes.Count);
        }
        finally
        {
            engines.ForEach(engine => engine.Dispose());
        }

        await rig.UntilAsync(() => rig.Gateway.ConnectionCount == 1);
    }

    private static int ThreadCount() => Directory.EnumerateDirectories("/proc/self/task").Count();

    private static byte[] Body(object message)
    {
        var body = new ArrayBufferWriter<byte>();
        EngineSocketCodec.Write(message, body);
        return body.WrittenSpan.ToArray();
    }

    private static byte[] Frame(SocketMessageType type, bool isContinued, int descriptors, byte[] body)
    {
        var frame = new byte[FrameHeader.ByteCount + body.Length];
        new FrameHeader(frame.Length, type, isContinued, descriptors).Write(frame);
        body.CopyTo(frame, FrameHeader.ByteCount);
        return frame;
    }

    private static SafeFileHandle Opened() => File.OpenHandle("/proc/self/exe");
}
