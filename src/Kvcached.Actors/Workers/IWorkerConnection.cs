using System.Collections.Immutable;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Workers;

/// <summary>The way to one connected engine worker. Safe for use by several threads; no call blocks.</summary>
public interface IWorkerConnection
{
    /// <summary>Number of the connection in this host's life; never used twice.</summary>
    long ConnectionId { get; }

    /// <summary>User of the process on the other side, as the kernel says.</summary>
    uint UserId { get; }

    /// <summary>Process on the other side as seen from here; 0 when it is in a process namespace that isn't visible.</summary>
    int ProcessId { get; }

    /// <summary>Sends a message, in order. Takes the descriptors over whatever the outcome. False when the connection is closed or too much waits to be sent.</summary>
    bool TrySend(WorkerProtocol.IMessage message, ImmutableArray<SafeFileHandle> descriptors);

    /// <summary>Ends the connection once what was sent before has gone out.</summary>
    void Close();
}

/// <summary>
/// What the engine gateway tells the rank about workers. Called from the gateway's thread, in order per connection; no call may block. What is
/// told while no page mapper runs is kept for the next one.
/// </summary>
public interface IWorkerEvents
{
    /// <summary>A worker wants to map the pages of a rank. The descriptors are those of what it still holds; they are the receiver's.</summary>
    void Attaching(IWorkerConnection connection, WorkerProtocol.AttachRank request, ImmutableArray<SafeFileHandle> heldDescriptors);

    /// <summary>An attached worker said something.</summary>
    void Received(IWorkerConnection connection, WorkerProtocol.IMessage message);

    /// <summary>The connection is gone; the process may live on and keep what it has mapped.</summary>
    void Disconnected(IWorkerConnection connection);

    /// <summary>The process behind that connection has ended, and with it all its mappings and descriptors. Comes after <see cref="Disconnected"/>.</summary>
    void Died(IWorkerConnection connection);
}
