using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;

namespace Kvcached.Core.Tests.Sockets;

/// <summary>docs/protocol.md says what the codec does: each message's number, the limits, and the bytes of one message of each kind.</summary>
public sealed partial class ProtocolDocumentTests
{
    private static readonly string Text = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "protocol.md"));

    private static readonly SessionId Session = new(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));
    private static readonly PoolId Pool = PoolId.Create(7, 3);
    private static readonly RequestId Request = new(5);
    private static readonly RequestId Acked = new(4);
    private static readonly Epoch Epoch = new(7, -2);
    private static readonly EngineStep Step = new(41);
    private static readonly Refusal No = new(RefusalReason.OutOfMemory, "full", 4096, 2048);
    private static readonly ImmutableArray<Extent> Extents = [new(0, new PageId(8), 3, 9)];
    private static readonly LentExtent Lent = new(Extents[0], new ExtentIdentity(new HostIncarnation(0x0102030405060708), 6, 9));

    private static readonly PoolSpec Spec = new(
        "chat",
        new PoolGeometry(
            KvLayout.Grouped, 2, [1024],
            [new RankShape(GpuId.Parse("GPU-a"), [new KvGroupShape("full", KvGroupKind.MultiHead, 16, 4, 2, 65536, 2097152)])]),
        PoolTarget.Worker, 1L << 33, 1L << 30, 100) { OwnerUserId = 1000 };

    private static readonly object[] Samples =
    [
        new SocketProtocol.Hello(1, 1, EngineRole.Worker, "lib 1", 77),
        new SocketProtocol.Welcome(1, new HostIncarnation(0x0102030405060708), GpuId.Parse("GPU-a"), "default", "cuda", 2097152, "host 1"),
        new SocketProtocol.Rejected(new Refusal(RefusalReason.UnsupportedVersion, "v2")),
        new SocketProtocol.KeepTags(Session, Pool, 4096),
        new SocketProtocol.PoolTags(Session, Pool, 4096),
        new EngineProtocol.OpenSession(Session, "vllm", "default"),
        new EngineProtocol.CloseSession(Session),
        new EngineProtocol.OpenPool(Session, Request, Acked, Spec),
        new EngineProtocol.ClosePool(Session, Request, Acked, Pool, Step),
        new EngineProtocol.AllocatePages(Session, Request, Acked, Pool, 0, 8, TimeSpan.FromSeconds(2)),
        new EngineProtocol.FreeExtents(Session, Request, Acked, Pool, Extents, Step),
        new EngineProtocol.ReportWarmExtents(Session, Pool, [new IdleExtent(Extents[0], TimeSpan.FromSeconds(2))]),
        new EngineProtocol.RevokeAnswered(Session, Pool, 12, Extents, EngineStep.Sync),
        new EngineProtocol.ExtentsChecked(Session, Pool, Epoch, Extents, [new Extent(0, new PageId(16), 3, 10)]),
        new EngineProtocol.SessionOpened(Session, Epoch, TimeSpan.FromSeconds(10)),
        new EngineProtocol.SessionRefused(Session, No),
        new EngineProtocol.SessionClosed(Session),
        new EngineProtocol.PoolOpened(Session, Request, Pool, Extents),
        new EngineProtocol.PoolClosed(Session, Request, Pool),
        new EngineProtocol.PagesAllocated(Session, Request, Pool, Extents),
        new EngineProtocol.ExtentsFreed(Session, Request, Pool),
        new EngineProtocol.RequestRefused(Session, Request, No),
        new EngineProtocol.RevokeExtents(Session, Pool, 12, Extents),
        new EngineProtocol.ShrinkRequested(Session, Pool, 13, [new GpuBytes(GpuId.Parse("GPU-a"), 1 << 20)], TimeSpan.FromSeconds(1)),
        new EngineProtocol.CheckExtents(Session, Pool, Epoch, [new GrantedExtent(Extents[0], Request)]),
        new EngineProtocol.PoolWithdrawn(Session, Pool, No),
        new WorkerProtocol.AttachRank(
            new WorkerIncarnation(Session.Value), "chat", 0, GpuId.Parse("GPU-a"), "cuda", Pool, Epoch, 9, [Lent]),
        new WorkerProtocol.OperationDone(3, null, LayoutDigest.Empty.With(Extents[0]), [], 12.5),
        new WorkerProtocol.StuckReleased(Extents),
        WorkerProtocol.Detach.Instance,
        new WorkerProtocol.RankAttached(Pool, 0, Spec),
        new WorkerProtocol.AttachRefused(No),
        new WorkerProtocol.Operate(3, WorkerOperationKind.Install, Epoch, 17, Step, [Lent], [true]),
        new WorkerProtocol.PoolGone(No, Step),
        WorkerProtocol.TableComplete.Instance,
    ];

    [Fact]
    public void Vectors_OfEveryMessage_AreWhatTheCodecWrites()
    {
        var expected = Samples.ToDictionary(sample => sample.GetType().Name, Vector);
        Assert.Equal(SocketMessages.All.Select(type => type.Name).Order(), expected.Keys.Order());

        var written = VectorLine().Matches(Text).ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);

        Assert.Equal(expected.OrderBy(pair => pair.Key, StringComparer.Ordinal), written.OrderBy(pair => pair.Key, StringComparer.Ordinal));
    }

    [Fact]
    public void Vectors_OfEveryMessage_AreReadAsTheMessage()
    {
        foreach (Match match in VectorLine().Matches(Text))
        {
            var packet = Convert.FromHexString(match.Groups[2].Value);
            var assembler = new FrameAssembler();
            Assert.Equal(FrameStatus.Message, assembler.Add(packet, packet[8], out var body));
            Assert.True(EngineSocketCodec.TryRead(assembler.Type, body, packet[8], out var message, out var fault), fault.ToString());
            Assert.Null(DeepDifference.Find(Samples.Single(sample => sample.GetType() == message.GetType()), message));
        }
    }

    [Fact]
    public void Headings_OfEveryMessage_CarryItsNumber()
    {
        var written = Heading().Matches(Text)
            .ToDictionary(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));

        Assert.Equal(
            Enum.GetValues<SocketMessageType>().Except([SocketMessageType.None]).Select(type => ($"{type}", (int)type)).Order(),
            written.Select(pair => (pair.Key, pair.Value)).Order());
    }

    [Fact]
    public void RefusalReasons_AreAllListed()
    {
        foreach (var reason in Enum.GetValues<RefusalReason>())
        {
            Assert.Contains($"{(int)reason} {reason}", Text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Limits_AreThoseOfTheCodec()
    {
        foreach (var limit in new long[]
        {
            SocketLimits.MaxFrameBytes, SocketLimits.MaxFrameDescriptors, SocketLimits.MaxMessageBytes, SocketLimits.MaxMessageDescriptors,
            SocketLimits.MaxTagBytes,
        })
        {
            Assert.Contains($"| {limit.ToString("N0", CultureInfo.InvariantCulture)} |", Text, StringComparison.Ordinal);
        }
    }

    private static string Vector(object message)
    {
        var (type, body) = SocketMessages.Encode(message);
        return Convert.ToHexStringLower(SocketMessages.Frame(type, isContinued: false, SocketMessages.DescriptorsFor(type, 0), body));
    }

    [GeneratedRegex("^vector ([A-Za-z]+) ([0-9a-f]+)$", RegexOptions.Multiline)]
    private static partial Regex VectorLine();

    [GeneratedRegex("^#### ([A-Za-z]+) `0x([0-9A-F]{4})`", RegexOptions.Multiline)]
    private static partial Regex Heading();

    private static string RepositoryRoot([CallerFilePath] string path = "")
    {
        var directory = Path.GetDirectoryName(path)!;
        while (!File.Exists(Path.Combine(directory, "Kvcached.sln")))
        {
            directory = Path.GetDirectoryName(directory)!;
        }

        return directory;
    }
}
