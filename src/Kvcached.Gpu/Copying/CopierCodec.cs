using Kvcached.Core.Checking;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// Turns requests and replies into frames and back. Nothing that a frame says is believed before it is checked; what is wrong with
/// one comes back as a sentence.
/// </summary>
public static class CopierCodec
{
    /// <summary>Most bytes of a frame: a buffer of this size takes any.</summary>
    public const int MaxFrameBytes = FrameHeader.MaxFrameBytes;

    private const int MaxMessageBytes = 2048;

    /// <summary>Writes a request. Returns the frame's length, or 0 when it is too large for a frame.</summary>
    public static int Write(Span<byte> frame, long requestId, IRequest request)
    {
        var body = new BodyWriter(frame[FrameHeader.ByteCount..]);
        var descriptors = 0;
        FrameKind kind;
        switch (request)
        {
            case Hello hello:
                kind = FrameKind.Hello;
                body.WriteInt32(hello.Version);
                body.WriteByte((byte)hello.Backend);
                body.WriteText(hello.Gpu.Value);
                break;
            case Attach attach:
                kind = FrameKind.Attach;
                body.WriteInt64(attach.Pool.Value);
                body.WriteInt32(attach.Rank);
                GeometryCodec.Write(ref body, attach.Geometry, attach.Geometry.Ranks.Length == 1 ? 0 : attach.Rank);
                break;
            case Map map:
                kind = FrameKind.Map;
                WriteExtent(ref body, map.Pool, map.Extent);
                body.WriteInt32(map.FirstUnit);
                body.WriteInt32(map.UnitCount);
                descriptors = map.DescriptorCount;
                break;
            case Drop drop:
                kind = FrameKind.Drop;
                WriteExtent(ref body, drop.Pool, drop.Extent);
                break;
            case Stamp stamp:
                kind = FrameKind.Stamp;
                WriteStamps(ref body, stamp.Pool, stamp.Group, stamp.Stamps);
                break;
            case Verify verify:
                kind = FrameKind.Verify;
                WriteStamps(ref body, verify.Pool, verify.Group, verify.Stamps);
                break;
            case Checksum checksum:
                kind = FrameKind.Checksum;
                WriteExtent(ref body, checksum.Pool, checksum.Extent);
                break;
            case Detach detach:
                kind = FrameKind.Detach;
                body.WriteInt64(detach.Pool.Value);
                break;
            case Exit:
                kind = FrameKind.Exit;
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(request), request, "No such request.");
        }

        return Finish(frame, kind, descriptors, requestId, body);
    }

    /// <summary>Writes a reply. Returns the frame's length.</summary>
    public static int Write(Span<byte> frame, long requestId, IReply reply)
    {
        var body = new BodyWriter(frame[FrameHeader.ByteCount..]);
        FrameKind kind;
        switch (reply)
        {
            case HelloAccepted accepted:
                kind = FrameKind.HelloAccepted;
                body.WriteInt32(accepted.ProcessId);
                body.WriteInt32(accepted.MaxOutstanding);
                body.WriteInt64(accepted.GranularityBytes);
                break;
            case Done:
                kind = FrameKind.Done;
                break;
            case Verified verified:
                kind = FrameKind.Verified;
                StampCodec.WriteReport(ref body, verified.Report);
                break;
            case Summed summed:
                kind = FrameKind.Summed;
                body.WriteUInt64(summed.Checksum.Value);
                break;
            case Refused refused:
                kind = FrameKind.Refused;
                body.WriteByte((byte)refused.Reason);
                body.WriteText(refused.Message.Length <= MaxMessageBytes / 4 ? refused.Message : refused.Message[..(MaxMessageBytes / 4)]);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(reply), reply, "No such reply.");
        }

        return Finish(frame, kind, 0, requestId, body);
    }

    /// <summary>Reads a request.</summary>
    /// <param name="frame">One message of the socket.</param>
    /// <param name="descriptorCount">Descriptors that came with it.</param>
    /// <param name="requestId">Its id.</param>
    /// <param name="request">The request, when there is no problem.</param>
    /// <returns>What is wrong with the frame, or null.</returns>
    public static string? ReadRequest(ReadOnlySpan<byte> frame, int descriptorCount, out long requestId, out IRequest? request)
    {
        request = null;
        requestId = 0;
        if (FrameHeader.Read(frame, descriptorCount, out var header) is { } problem)
        {
            return problem;
        }

        requestId = header.RequestId;
        var body = new BodyReader(frame[FrameHeader.ByteCount..]);
        IRequest? read = header.Kind switch
        {
            FrameKind.Hello => ReadHello(ref body),
            FrameKind.Attach => new Attach(ReadPool(ref body), ReadIndex(ref body), GeometryCodec.Read(ref body)),
            FrameKind.Map => ReadMap(ref body, header.DescriptorCount),
            FrameKind.Drop => new Drop(ReadPool(ref body), ReadExtent(ref body)),
            FrameKind.Stamp => new Stamp(ReadPool(ref body), ReadIndex(ref body), StampCodec.ReadStamps(ref body)),
            FrameKind.Verify => new Verify(ReadPool(ref body), ReadIndex(ref body), StampCodec.ReadStamps(ref body)),
            FrameKind.Checksum => new Checksum(ReadPool(ref body), ReadExtent(ref body)),
            FrameKind.Detach => new Detach(ReadPool(ref body)),
            FrameKind.Exit => new Exit(),
            _ => null,
        };
        return Check(ref body, header.Kind, read, out request);
    }

    /// <summary>Reads a reply; as <see cref="ReadRequest"/>.</summary>
    public static string? ReadReply(ReadOnlySpan<byte> frame, int descriptorCount, out long requestId, out IReply? reply)
    {
        reply = null;
        requestId = 0;
        if (FrameHeader.Read(frame, descriptorCount, out var header) is { } problem)
        {
            return problem;
        }

        requestId = header.RequestId;
        var body = new BodyReader(frame[FrameHeader.ByteCount..]);
        IReply? read = header.Kind switch
        {
            FrameKind.HelloAccepted => ReadHelloAccepted(ref body),
            FrameKind.Done => new Done(),
            FrameKind.Verified => new Verified(StampCodec.ReadReport(ref body)),
            FrameKind.Summed => new Summed(new ExtentChecksum(body.ReadUInt64())),
            FrameKind.Refused => ReadRefused(ref body),
            _ => null,
        };
        return Check(ref body, header.Kind, read, out reply);
    }

    private static int Finish(Span<byte> frame, FrameKind kind, int descriptors, long requestId, BodyWriter body)
    {
        if (!body.Fits)
        {
            return 0;
        }

        new FrameHeader(kind, descriptors, requestId, body.Length).Write(frame);
        return FrameHeader.ByteCount + body.Length;
    }

    private static string? Check<T>(ref BodyReader body, FrameKind kind, T? read, out T? message)
        where T : class
    {
        message = null;
        if (read is null)
        {
            return $"a {kind} frame comes from the other side";
        }

        body.ExpectEnd();
        if (body.Problem is { } problem)
        {
            return $"a {kind} frame is wrong: {problem}";
        }

        message = read;
        return null;
    }

    private static void WriteExtent(ref BodyWriter body, PoolId pool, Extent extent)
    {
        body.WriteInt64(pool.Value);
        body.WriteInt32(extent.Group);
        body.WriteInt32(extent.First.Value);
        body.WriteByte(extent.Order);
        body.WriteUInt32(extent.Generation);
    }

    private static void WriteStamps(
        ref BodyWriter body, PoolId pool, int group, System.Collections.Immutable.ImmutableArray<BlockStamp> stamps)
    {
        body.WriteInt64(pool.Value);
        body.WriteInt32(group);
        StampCodec.WriteStamps(ref body, stamps);
    }

    private static PoolId ReadPool(ref BodyReader body) => new(body.ReadInt64());

    private static int ReadIndex(ref BodyReader body)
    {
        var index = body.ReadInt32();
        if (index < 0)
        {
            body.Fail($"{index} is no index");
        }

        return index;
    }

    private static Extent ReadExtent(ref BodyReader body) =>
        new(body.ReadInt32(), new PageId(body.ReadInt32()), body.ReadByte(), body.ReadUInt32());

    private static Hello ReadHello(ref BodyReader body)
    {
        var version = body.ReadInt32();
        var backend = (CopierBackend)body.ReadByte();
        if (!GpuId.TryParse(body.ReadText(GpuId.MaxLength), out var gpu))
        {
            body.Fail("it names no GPU");
        }

        return new Hello(version, backend, gpu);
    }

    private static Map ReadMap(ref BodyReader body, int descriptors)
    {
        var map = new Map(ReadPool(ref body), ReadExtent(ref body), ReadIndex(ref body), body.ReadInt32(), descriptors);
        if (descriptors < 1 || map.UnitCount > Core.Geometry.GeometryRules.MaxUnits || map.FirstUnit > map.UnitCount - descriptors)
        {
            body.Fail($"{descriptors} descriptors from {map.FirstUnit} of {map.UnitCount} are out of range");
        }

        return map;
    }

    private static HelloAccepted ReadHelloAccepted(ref BodyReader body)
    {
        var accepted = new HelloAccepted(body.ReadInt32(), body.ReadInt32(), body.ReadInt64());
        if (accepted.MaxOutstanding < 1 || accepted.GranularityBytes < 1)
        {
            body.Fail("it allows no requests or states no granularity");
        }

        return accepted;
    }

    private static Refused ReadRefused(ref BodyReader body)
    {
        var reason = (CopierRefusal)body.ReadByte();
        if (!Enum.IsDefined(reason))
        {
            body.Fail($"there is no reason {(byte)reason}");
        }

        return new Refused(reason, body.ReadText(MaxMessageBytes));
    }
}
