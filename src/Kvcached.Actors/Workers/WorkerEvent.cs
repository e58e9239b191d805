using System.Collections.Immutable;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Workers;

/// <summary>One thing that the gateway told about a worker.</summary>
internal abstract record WorkerEvent(IWorkerConnection Connection)
{
    public sealed record Attaching(
        IWorkerConnection Connection, WorkerProtocol.AttachRank Request, ImmutableArray<SafeFileHandle> HeldDescriptors) : WorkerEvent(Connection);

    public sealed record Received(IWorkerConnection Connection, WorkerProtocol.IMessage Message) : WorkerEvent(Connection);

    public sealed record Disconnected(IWorkerConnection Connection) : WorkerEvent(Connection);

    public sealed record Died(IWorkerConnection Connection) : WorkerEvent(Connection);
}
