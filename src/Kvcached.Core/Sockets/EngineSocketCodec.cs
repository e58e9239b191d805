using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Contracts;
using Kvcached.Core.Engines;
using Kvcached.Core.Workers;

namespace Kvcached.Core.Sockets;

/// <summary>
/// Turns every message of the engine socket into its body and back: those of <see cref="SocketProtocol"/>, <see cref="EngineProtocol"/> and
/// <see cref="WorkerProtocol"/>. How a body becomes packets is for <see cref="FrameSplitter"/> and <see cref="FrameAssembler"/>.
/// </summary>
public static class EngineSocketCodec
{
    /// <summary>Writes a message's body and returns its type.</summary>
    /// <exception cref="ArgumentException">The object is no message of these protocols.</exception>
    public static SocketMessageType Write(object message, IBufferWriter<byte> output)
    {
        var writer = new WireWriter(output);
        var type = Write(ref writer, message);
        writer.Flush();
        return type;
    }

    /// <summary>Reads a message from its type and body, from bytes that nobody has checked.</summary>
    /// <param name="type">What the frames said that it is.</param>
    /// <param name="body">Its body.</param>
    /// <param name="descriptorCount">Descriptors that came with it.</param>
    /// <param name="message">The message.</param>
    /// <param name="fault">What is wrong when there is none.</param>
    public static bool TryRead(
        SocketMessageType type, ReadOnlySpan<byte> body, int descriptorCount, [NotNullWhen(true)] out object? message, out SocketFault fault)
    {
        if (!TryRead(type, body, out message, out fault))
        {
            return false;
        }

        if (type.AllowsDescriptors(descriptorCount))
        {
            return true;
        }

        message = null;
        fault = new SocketFault(SocketFaultKind.DescriptorsNotAllowed, type);
        return false;
    }

    /// <summary>Reads a message's body without regard to descriptors.</summary>
    public static bool TryRead(SocketMessageType type, ReadOnlySpan<byte> body, [NotNullWhen(true)] out object? message, out SocketFault fault)
    {
        var reader = new WireReader(body);
        message = Read(type, ref reader);
        if (message is null && reader.Fault == WireFault.None)
        {
            fault = new SocketFault(SocketFaultKind.UnknownType, type);
            return false;
        }

        if (message is null || !reader.TryEnd())
        {
            message = null;
            fault = new SocketFault(SocketFaultKind.BadBody, type, reader.Fault, reader.OffsetBytes);
            return false;
        }

        fault = default;
        return true;
    }

    private static SocketMessageType Write(ref WireWriter writer, object message)
    {
        switch (message)
        {
            case SocketProtocol.Hello value:
                SocketWire.Write(ref writer, value);
                return SocketMessageType.Hello;
            case SocketProtocol.Welcome value:
                SocketWire.Write(ref writer, value);
                return SocketMessageType.Welcome;
            case SocketProtocol.Rejected value:
                SocketWire.Write(ref writer, value);
                return SocketMessageType.Rejected;
            case SocketProtocol.KeepTags value:
                SocketWire.Write(ref writer, value);
                return SocketMessageType.KeepTags;
            case SocketProtocol.PoolTags value:
                SocketWire.Write(ref writer, value);
                return SocketMessageType.PoolTags;
            case EngineProtocol.OpenSession value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.OpenSession;
            case EngineProtocol.CloseSession value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.CloseSession;
            case EngineProtocol.OpenPool value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.OpenPool;
            case EngineProtocol.ClosePool value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.ClosePool;
            case EngineProtocol.AllocatePages value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.AllocatePages;
            case EngineProtocol.FreeExtents value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.FreeExtents;
            case EngineProtocol.ReportWarmExtents value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.ReportWarmExtents;
            case EngineProtocol.RevokeAnswered value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.RevokeAnswered;
            case EngineProtocol.ExtentsChecked value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.ExtentsChecked;
            case EngineProtocol.SessionOpened value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.SessionOpened;
            case EngineProtocol.SessionRefused value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.SessionRefused;
            case EngineProtocol.SessionClosed value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.SessionClosed;
            case EngineProtocol.PoolOpened value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.PoolOpened;
            case EngineProtocol.PoolClosed value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.PoolClosed;
            case EngineProtocol.PagesAllocated value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.PagesAllocated;
            case EngineProtocol.ExtentsFreed value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.ExtentsFreed;
            case EngineProtocol.RequestRefused value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.RequestRefused;
            case EngineProtocol.RevokeExtents value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.RevokeExtents;
            case EngineProtocol.ShrinkRequested value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.ShrinkRequested;
            case EngineProtocol.CheckExtents value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.CheckExtents;
            case EngineProtocol.PoolWithdrawn value:
                EngineWire.Write(ref writer, value);
                return SocketMessageType.PoolWithdrawn;
            case WorkerProtocol.AttachRank value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.AttachRank;
            case WorkerProtocol.OperationDone value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.OperationDone;
            case WorkerProtocol.StuckReleased value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.StuckReleased;
            case WorkerProtocol.RankAttached value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.RankAttached;
            case WorkerProtocol.AttachRefused value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.AttachRefused;
            case WorkerProtocol.Operate value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.Operate;
            case WorkerProtocol.PoolGone value:
                WorkerWire.Write(ref writer, value);
                return SocketMessageType.PoolGone;
            case WorkerProtocol.Detach:
                return SocketMessageType.Detach;
            case WorkerProtocol.TableComplete:
                return SocketMessageType.TableComplete;
            default:
                throw new ArgumentException($"{message?.GetType().Name ?? "null"} is no message of the engine socket.", nameof(message));
        }
    }

    private static object? Read(SocketMessageType type, ref WireReader reader) => type switch
    {
        SocketMessageType.Hello => SocketWire.TryRead(ref reader, out SocketProtocol.Hello? hello) ? hello : null,
        SocketMessageType.Welcome => SocketWire.TryRead(ref reader, out SocketProtocol.Welcome? welcome) ? welcome : null,
        SocketMessageType.Rejected => SocketWire.TryRead(ref reader, out SocketProtocol.Rejected? rejected) ? rejected : null,
        SocketMessageType.KeepTags => SocketWire.TryRead(ref reader, out SocketProtocol.KeepTags? keepTags) ? keepTags : null,
        SocketMessageType.PoolTags => SocketWire.TryRead(ref reader, out SocketProtocol.PoolTags? poolTags) ? poolTags : null,
        SocketMessageType.OpenSession => EngineWire.TryRead(ref reader, out EngineProtocol.OpenSession? openSession) ? openSession : null,
        SocketMessageType.CloseSession => EngineWire.TryRead(ref reader, out EngineProtocol.CloseSession? closeSession) ? closeSession : null,
        SocketMessageType.OpenPool => EngineWire.TryRead(ref reader, out EngineProtocol.OpenPool? openPool) ? openPool : null,
        SocketMessageType.ClosePool => EngineWire.TryRead(ref reader, out EngineProtocol.ClosePool? closePool) ? closePool : null,
        SocketMessageType.AllocatePages => EngineWire.TryRead(ref reader, out EngineProtocol.AllocatePages? allocatePages) ? allocatePages : null,
        SocketMessageType.FreeExtents => EngineWire.TryRead(ref reader, out EngineProtocol.FreeExtents? freeExtents) ? freeExtents : null,
        SocketMessageType.ReportWarmExtents => EngineWire.TryRead(ref reader, out EngineProtocol.ReportWarmExtents? reportWarmExtents) ? reportWarmExtents : null,
        SocketMessageType.RevokeAnswered => EngineWire.TryRead(ref reader, out EngineProtocol.RevokeAnswered? revokeAnswered) ? revokeAnswered : null,
        SocketMessageType.ExtentsChecked => EngineWire.TryRead(ref reader, out EngineProtocol.ExtentsChecked? extentsChecked) ? extentsChecked : null,
        SocketMessageType.SessionOpened => EngineWire.TryRead(ref reader, out EngineProtocol.SessionOpened? sessionOpened) ? sessionOpened : null,
        SocketMessageType.SessionRefused => EngineWire.TryRead(ref reader, out EngineProtocol.SessionRefused? sessionRefused) ? sessionRefused : null,
        SocketMessageType.SessionClosed => EngineWire.TryRead(ref reader, out EngineProtocol.SessionClosed? sessionClosed) ? sessionClosed : null,
        SocketMessageType.PoolOpened => EngineWire.TryRead(ref reader, out EngineProtocol.PoolOpened? poolOpened) ? poolOpened : null,
        SocketMessageType.PoolClosed => EngineWire.TryRead(ref reader, out EngineProtocol.PoolClosed? poolClosed) ? poolClosed : null,
        SocketMessageType.PagesAllocated => EngineWire.TryRead(ref reader, out EngineProtocol.PagesAllocated? pagesAllocated) ? pagesAllocated : null,
        SocketMessageType.ExtentsFreed => EngineWire.TryRead(ref reader, out EngineProtocol.ExtentsFreed? extentsFreed) ? extentsFreed : null,
        SocketMessageType.RequestRefused => EngineWire.TryRead(ref reader, out EngineProtocol.RequestRefused? requestRefused) ? requestRefused : null,
        SocketMessageType.RevokeExtents => EngineWire.TryRead(ref reader, out EngineProtocol.RevokeExtents? revokeExtents) ? revokeExtents : null,
        SocketMessageType.ShrinkRequested => EngineWire.TryRead(ref reader, out EngineProtocol.ShrinkRequested? shrinkRequested) ? shrinkRequested : null,
        SocketMessageType.CheckExtents => EngineWire.TryRead(ref reader, out EngineProtocol.CheckExtents? checkExtents) ? checkExtents : null,
        SocketMessageType.PoolWithdrawn => EngineWire.TryRead(ref reader, out EngineProtocol.PoolWithdrawn? poolWithdrawn) ? poolWithdrawn : null,
        SocketMessageType.AttachRank => WorkerWire.TryRead(ref reader, out WorkerProtocol.AttachRank? attachRank) ? attachRank : null,
        SocketMessageType.OperationDone => WorkerWire.TryRead(ref reader, out WorkerProtocol.OperationDone? operationDone) ? operationDone : null,
        SocketMessageType.StuckReleased => WorkerWire.TryRead(ref reader, out WorkerProtocol.StuckReleased? stuckReleased) ? stuckReleased : null,
        SocketMessageType.RankAttached => WorkerWire.TryRead(ref reader, out WorkerProtocol.RankAttached? rankAttached) ? rankAttached : null,
        SocketMessageType.AttachRefused => WorkerWire.TryRead(ref reader, out WorkerProtocol.AttachRefused? attachRefused) ? attachRefused : null,
        SocketMessageType.Operate => WorkerWire.TryRead(ref reader, out WorkerProtocol.Operate? operate) ? operate : null,
        SocketMessageType.PoolGone => WorkerWire.TryRead(ref reader, out WorkerProtocol.PoolGone? poolGone) ? poolGone : null,
        SocketMessageType.Detach => WorkerProtocol.Detach.Instance,
        SocketMessageType.TableComplete => WorkerProtocol.TableComplete.Instance,
        _ => null,
    };
}
