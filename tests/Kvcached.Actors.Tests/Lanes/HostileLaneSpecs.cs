using System.Buffers;
using System.Text;
using Akka.Actor;
using Kvcached.Actors.Lanes;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Tests.Lanes;

/// <summary>Whatever comes over a lane's socket that doesn't belong there costs the sender its connection, and nobody anything else.</summary>
public sealed class HostileLaneSpecs : LaneKit
{
    private static readonly byte[] NoFrame = [1, 2, 3];

    public static TheoryData<string> BeforeHello =>
        ["no frame", "wrong length", "message", "welcome", "empty hello", "hello of another version", "hello with bytes left over", "engine's hello"];

    public static TheoryData<string> AfterHello =>
        ["no frame", "second hello", "nameless", "name longer than the body", "unknown name", "engine's message", "a rank's answer", "registration", "cut decision", "damaged control message"];

    [Theory]
    [MemberData(nameof(BeforeHello))]
    public void Stranger_should_lose_its_connection_and_the_open_lane_go_on(string what)
    {
        var link = Open(1);
        AssertWorks(link, 1);
        var packet = Packet(what);
        using var stranger = Connect();

        Assert.True(stranger.Send(packet, []));

        AssertClosed(stranger);
        AssertWorks(link, 2);
    }

    [Theory]
    [MemberData(nameof(AfterHello))]
    public void Peer_that_breaks_a_rule_should_lose_its_lane_and_nothing_but_that(string what)
    {
        using var peer = Connect();
        Assert.True(peer.Send(Frame(LaneFrameType.Hello, BodyOf(Hello(1))), []));
        Assert.Equal(LaneFrameType.Welcome, Receive(peer));
        Assert.True(peer.Send(Frame(LaneFrameType.Message, Envelope("rd1", new HotPathSerializer((ExtendedActorSystem)Sys).ToBinary(Decision(1)))), []));
        Assert.Equal(1, Mapper.ExpectMsg<RankProtocol.Decide>(Patience).Decision.Seq);

        Assert.True(peer.Send(Packet(what), []));

        AssertClosed(peer);
        Assert.Equal(Hello(1).Lane, Mapper.ExpectMsg<LaneServer.LaneEnded>(Patience).Lane);
        AssertWorks(Open(2), 2);
    }

    [Fact]
    public void Descriptors_should_be_closed_and_their_sender_with_them()
    {
        var link = Open(1);
        using var file = File.OpenHandle("/dev/null");
        using var stranger = Connect();

        Assert.True(stranger.Send(Frame(LaneFrameType.Hello, BodyOf(Hello(2)), descriptorCount: 1), [file]));

        AssertClosed(stranger);
        AssertWorks(link, 1);
    }

    [Fact]
    public void Silence_should_end_a_connection_at_its_deadline()
    {
        var directory = Directory.CreateTempSubdirectory("kvcached-lane-");
        using (var server = LaneServer.TryOpen(Sys, directory.FullName, "test", TestPools.Gpu(1), Incarnation, out _, TimeSpan.FromMilliseconds(50)))
        {
            Assert.True(UnixMessageChannel.TryConnect(server!.Path, Patience, out var silent, out var failure), failure?.Text);
            using var own = silent;
            AssertClosed(silent!);
        }

        using var dialer = new LaneDialer(Sys, Coordinator, TimeSpan.FromMilliseconds(50));
        var path = Path.Combine(directory.FullName, "silent.sock");
        Assert.True(UnixMessageListener.TryListen(path, UnixFileMode.UserRead | UnixFileMode.UserWrite, null, out var listener, out var problem), problem);
        using var ownListener = listener;
        dialer.Dial(path, Hello(1));
        Assert.Contains("no answer in time", Coordinator.ExpectMsg<LaneDialer.LaneFailed>(Patience).Why, StringComparison.Ordinal);
        directory.Delete(recursive: true);
    }

    [Fact]
    public void Crowd_of_silent_strangers_should_not_disturb_the_open_lane()
    {
        var link = Open(1);
        var crowd = Enumerable.Range(0, 40).Select(_ => Connect()).ToList();
        AssertWorks(link, 1);
        crowd.ForEach(stranger => stranger.Dispose());
        AssertWorks(link, 2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rank_that_answers_nonsense_should_have_no_lane(bool isAfterWelcome)
    {
        var path = Server.Path + "2";
        Assert.True(UnixMessageListener.TryListen(path, UnixFileMode.UserRead | UnixFileMode.UserWrite, null, out var listener, out var problem), problem);
        using var ownListener = listener;
        Dialer.Dial(path, Hello(1));
        UnixMessageChannel? rank = null;
        Assert.True(SpinWait.SpinUntil(() => listener!.TryAccept(out rank) == AcceptStatus.Accepted, Patience));
        using var ownRank = rank;
        Assert.Equal(LaneFrameType.Hello, Receive(rank!));
        if (isAfterWelcome)
        {
            Assert.True(rank!.Send(Frame(LaneFrameType.Welcome, BodyOf(Hello(1))), []));
            Coordinator.ExpectMsg<LaneDialer.LaneOpened>(Patience);
            Assert.True(rank.Send(Frame(LaneFrameType.Message, Envelope("ra1", new HotPathSerializer((ExtendedActorSystem)Sys).ToBinary(Answer(1)))), []));
            Assert.Equal(1, Coordinator.ExpectMsg<RankProtocol.Decided>(Patience).Answer.Seq);

            // In the name of another life of the host.
            Assert.True(rank.Send(Frame(LaneFrameType.Message, Envelope("ra1", new HotPathSerializer((ExtendedActorSystem)Sys).ToBinary(Answer(2, new(5))))), []));
            Assert.Contains("in the name of", Coordinator.ExpectMsg<LaneDialer.LaneLost>(Patience).Why, StringComparison.Ordinal);
        }
        else
        {
            Assert.True(rank!.Send(Frame(LaneFrameType.Welcome, BodyOf(Hello(2))), []));
            Assert.Contains("no welcome", Coordinator.ExpectMsg<LaneDialer.LaneFailed>(Patience).Why, StringComparison.Ordinal);
        }

        AssertClosed(rank!);
        File.Delete(path);
    }

    private byte[] Packet(string what)
    {
        var control = Sys.Serialization.FindSerializerForType(typeof(RankProtocol.ReportRank));
        var report = control.ToBinary(new RankProtocol.ReportRank(Fifth));
        report[^1] ^= 1;
        var decision = new HotPathSerializer((ExtendedActorSystem)Sys).ToBinary(Decision(1));
        return what switch
        {
            "no frame" => NoFrame,
            "wrong length" => [.. Frame(LaneFrameType.Hello, BodyOf(Hello(2))), 0],
            "message" => Frame(LaneFrameType.Message, Envelope("rd1", decision)),
            "welcome" => Frame(LaneFrameType.Welcome, BodyOf(Hello(2))),
            "empty hello" => Frame(LaneFrameType.Hello, []),
            "hello of another version" => Frame(LaneFrameType.Hello, [2, .. BodyOf(Hello(2))[1..]]),
            "hello with bytes left over" => Frame(LaneFrameType.Hello, [.. BodyOf(Hello(2)), 0]),
            "engine's hello" => Frame((LaneFrameType)SocketMessageType.Hello, BodyOf(Hello(2))),
            "second hello" => Frame(LaneFrameType.Hello, BodyOf(Hello(2))),
            "nameless" => Frame(LaneFrameType.Message, [0, 1, 2]),
            "name longer than the body" => Frame(LaneFrameType.Message, [9, (byte)'r']),
            "unknown name" => Frame(LaneFrameType.Message, Envelope("zz9", decision)),
            "engine's message" => Frame(LaneFrameType.Message, Envelope(HotPathManifests.OpenSession, decision)),
            "a rank's answer" => Frame(LaneFrameType.Message, Envelope(HotPathManifests.Decided, decision)),
            "registration" => Frame(LaneFrameType.Message, Envelope(WireTypes.Control[typeof(RankProtocol.RegisterRank)], report)),
            "cut decision" => Frame(LaneFrameType.Message, Envelope("rd1", decision[..^3])),
            "damaged control message" => Frame(LaneFrameType.Message, Envelope(WireTypes.Control[typeof(RankProtocol.ReportRank)], report)),
            _ => throw new ArgumentException(what),
        };
    }

    private static byte[] Envelope(string manifest, byte[] bytes) => [(byte)manifest.Length, .. Encoding.ASCII.GetBytes(manifest), .. bytes];

    private static byte[] BodyOf(LaneHello hello)
    {
        var body = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(body);
        hello.Write(ref writer);
        writer.Flush();
        return body.WrittenSpan.ToArray();
    }

    private static byte[] Frame(LaneFrameType type, ReadOnlySpan<byte> body, int descriptorCount = 0)
    {
        var frame = new byte[FrameHeader.ByteCount + body.Length];
        new FrameHeader(frame.Length, (SocketMessageType)type, IsContinued: false, descriptorCount).Write(frame);
        body.CopyTo(frame.AsSpan(FrameHeader.ByteCount));
        return frame;
    }

    private static LaneFrameType Receive(UnixMessageChannel channel)
    {
        var buffer = new byte[SocketLimits.MaxFrameBytes];
        Assert.Equal(ReceiveStatus.Message, channel.Receive(buffer, out var length, []));
        Assert.True(FrameHeader.Read(buffer.AsSpan(0, length), 0, out var header).IsNone);
        return (LaneFrameType)header.Type;
    }

    private static void AssertClosed(UnixMessageChannel channel)
    {
        var buffer = new byte[SocketLimits.MaxFrameBytes];
        var descriptors = new List<SafeFileHandle>();
        while (channel.Receive(buffer, out _, descriptors) is var status && status != ReceiveStatus.Closed)
        {
            Assert.Equal(ReceiveStatus.Message, status);
        }

        Assert.Empty(descriptors);
    }
}
