using System.Buffers;
using System.Collections.Immutable;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// One connection of an engine process. What comes in is handled on the gateway's thread; what goes out is sent by whoever says it, and what the socket
/// doesn't take waits.
/// </summary>
internal sealed class GatewayConnection : IWorkerConnection, ISchedulerLine, IDisposable
{
    private const int PacketsPerTurn = 32;
    private const int MostUnreadPackets = 4096;

    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(5);

    private readonly SocketGateway _gateway;
    private readonly UnixMessageChannel _channel;
    private readonly Lock _sending = new();
    private readonly OutgoingMessages _outgoing;
    private readonly FrameAssembler _assembler = new();
    private readonly List<SafeFileHandle> _descriptors = [];
    private readonly ITimer _deadline;
    private long _token;
    private int _waitingCommands;
    private bool _isEnding;
    private bool _isOver;
    private bool _isDropped;
    private bool _isWatchedForRoom;

    public GatewayConnection(SocketGateway gateway, UnixMessageChannel channel, PeerCredentials peer, long id)
    {
        _gateway = gateway;
        _channel = channel;
        Peer = peer;
        ConnectionId = id;
        var options = gateway.Options;
        _outgoing = new OutgoingMessages(channel, options.MaxWaitingBytes, options.MaxWaitingMessages, options.MaxDescriptors);
        _deadline = gateway.Time.CreateTimer(_ => gateway.Post(DeadlinePassed), null, options.HelloDeadline, Timeout.InfiniteTimeSpan);
    }

    public long ConnectionId { get; }

    public PeerCredentials Peer { get; }

    public uint UserId => Peer.UserId;

    public int ProcessId => Peer.ProcessId;

    /// <summary>The conversation; null before Hello.</summary>
    public EngineRole? Role { get; private set; }

    /// <summary>The process behind it; null when its end can't be seen.</summary>
    public ProcessWatch? Process { get; private set; }

    /// <summary>The sessions that answer to this connection.</summary>
    public HashSet<SessionId> Sessions { get; } = [];

    /// <summary>The worker's side, where that is the role.</summary>
    public WorkerDesk? Worker { get; private set; }

    /// <summary>True when nothing more is read or sent.</summary>
    public bool IsOver => _isOver;

    public override string ToString() => $"connection {ConnectionId} of process {ProcessId}, user {UserId}";

    /// <summary>Begins to listen. False when the system can't watch the socket.</summary>
    public bool Start() => _gateway.Loop.TryAdd(_channel.Socket, Readiness.Readable, Handle, out _token);

    public bool TrySend(WorkerProtocol.IMessage message, ImmutableArray<SafeFileHandle> descriptors)
    {
        Worker?.Sending(message);
        return Send(message, descriptors);
    }

    void IWorkerConnection.Close() => _gateway.Post(() => End("the rank has closed it"));

    public void Deliver(EngineProtocol.IMessage message)
    {
        switch (message)
        {
            case EngineProtocol.PoolOpened opened when _gateway.Tags.Find(opened.Pool, opened.Session, UserId, out var fileBytes) is { } file:
                Send(new SocketProtocol.PoolTags(opened.Session, opened.Pool, fileBytes), [file]);
                break;
            case EngineProtocol.PoolClosed closed:
                _gateway.Tags.Drop(closed.Pool, closed.Session);
                break;

            // A pool whose session has ended may pass to another one.
            case EngineProtocol.PoolWithdrawn { Refusal.Reason: not RefusalReason.UnknownSession } withdrawn:
                _gateway.Tags.Drop(withdrawn.Pool, withdrawn.Session);
                break;
        }

        Send(message, []);
    }

    /// <summary>A command is on its way to its session. On the gateway's thread.</summary>
    public void CommandGiven()
    {
        if (Interlocked.Increment(ref _waitingCommands) == _gateway.Options.MaxWaitingCommands)
        {
            UpdateInterest();
        }
    }

    public void CommandTaken()
    {
        if (Interlocked.Decrement(ref _waitingCommands) == _gateway.Options.MaxWaitingCommands - 1)
        {
            _gateway.Post(UpdateInterest);
        }
    }

    /// <summary>A session answers to this connection from now on.</summary>
    public void Take(SessionId session) => Sessions.Add(session);

    /// <summary>A session is over, or answers to another connection.</summary>
    public void Forget(SessionId session) => Sessions.Remove(session);

    /// <summary>The other side is gone: takes in what it said before, as far as it is there, and ends. On the gateway's thread.</summary>
    public void EndAfterLastWords()
    {
        for (var i = 0; i < MostUnreadPackets && !_isEnding && ReceiveOne(); i++)
        {
        }

        Dispose();
    }

    /// <summary>Says why and ends.</summary>
    public void Reject(Refusal refusal)
    {
        if (!_isEnding)
        {
            Send(new SocketProtocol.Rejected(refusal), []);
            End(refusal.ToString());
        }
    }

    /// <summary>Ends the connection once what was sent has gone out, or at its deadline. On the gateway's thread.</summary>
    public void End(string why)
    {
        if (_isEnding)
        {
            return;
        }

        _gateway.Ending(this, why);
        bool isDone;
        lock (_sending)
        {
            _isEnding = true;
            isDone = _outgoing.IsEmpty;
        }

        CloseReceived();
        if (isDone)
        {
            Dispose();
            return;
        }

        _deadline.Change(_gateway.Options.CloseDeadline, Timeout.InfiniteTimeSpan);
        UpdateInterest();
    }

    /// <summary>Ends the connection now. On the gateway's thread.</summary>
    public void Dispose()
    {
        if (_isOver)
        {
            return;
        }

        lock (_sending)
        {
            _isEnding = true;
            _isOver = true;
            _outgoing.Dispose();
        }

        _deadline.Dispose();
        CloseReceived();
        _gateway.Loop.Remove(_token, _channel.Socket);
        _channel.DisposeGently();
        _gateway.Ended(this);
    }

    private void Handle(Readiness ready)
    {
        if ((ready & Readiness.Writable) != 0)
        {
            lock (_sending)
            {
                Flush();
            }
        }

        if ((ready & Readiness.Readable) != 0)
        {
            for (var i = 0; i < PacketsPerTurn && !_isOver && ReceiveOne(); i++)
            {
            }
        }
    }

    private bool ReceiveOne()
    {
        var buffer = _gateway.Buffer;
        var before = _descriptors.Count;
        switch (_channel.TryReceive(buffer, out var length, _descriptors))
        {
            case ReceiveStatus.Nothing:
                return false;
            case ReceiveStatus.Closed:
                End("the other side closed it");
                Dispose();
                return false;
            case ReceiveStatus.Truncated:
                Reject(new Refusal(
                    RefusalReason.InvalidMessage,
                    $"A packet was longer than {SocketLimits.MaxFrameBytes} bytes, or its descriptors could not all be taken. Send smaller frames, or raise the host's limit of open files."));
                return false;
        }

        if (_isEnding)
        {
            CloseReceived();
            return true;
        }

        var held = _assembler.HeldBytes;
        var status = _assembler.Add(buffer.AsSpan(0, length), _descriptors.Count - before, out var body);
        _gateway.UnfinishedBytes += _assembler.HeldBytes - held;
        var refusal = status switch
        {
            FrameStatus.Fault => _assembler.Fault.ToRefusal(),
            FrameStatus.Incomplete => FindExcess(),
            _ => Handle(body),
        };
        if (refusal is not null)
        {
            Reject(refusal);
            return false;
        }

        return _waitingCommands < _gateway.Options.MaxWaitingCommands;
    }

    private Refusal? Handle(ReadOnlySpan<byte> body)
    {
        var type = _assembler.Type;
        if (FindOutOfTurn(type) is { } refusal)
        {
            return refusal;
        }

        if (!EngineSocketCodec.TryRead(type, body, _descriptors.Count, out var message, out var fault))
        {
            return fault.ToRefusal();
        }

        refusal = message is SocketProtocol.Hello hello ? Greet(hello)
            : Worker is { } worker ? worker.Receive(message, _descriptors)
            : _gateway.Schedulers.Receive(this, message, _descriptors);
        CloseReceived(isMessageOver: true);
        return refusal;
    }

    private Refusal? FindOutOfTurn(SocketMessageType type) =>
        type.IsFromHost() || (type == SocketMessageType.Hello ? Role is not null : type.RoleOf() is { } role && (Role is null || Role != role))
            ? new Refusal(
                RefusalReason.InvalidMessage,
                Role is null
                    ? $"{type} came before Hello. A connection begins with Hello."
                    : $"{type} is nothing that a {Role.ToString()!.ToLowerInvariant()} says here. The connection is closed.")
            : null;

    // What is unfinished costs memory and descriptors for as long as the sender likes.
    private Refusal? FindExcess() =>
        FindOutOfTurn(_assembler.Type) is { } refusal ? refusal
        : _assembler.Type != SocketMessageType.AttachRank && _assembler.DescriptorCount > 1 ? new SocketFault(SocketFaultKind.DescriptorsNotAllowed, _assembler.Type).ToRefusal()
        : _assembler.DescriptorCount > _gateway.Options.MaxDescriptors || _gateway.UnfinishedBytes > _gateway.Options.MaxUnfinishedBytes ? new Refusal(
            RefusalReason.Busy, $"{_assembler.DescriptorCount} descriptors came with an unfinished {_assembler.Type}, or too many bytes of such messages wait. Send less at a time.")
        : null;

    private Refusal? Greet(SocketProtocol.Hello hello)
    {
        _deadline.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Process = _gateway.Processes.Find(Peer, _channel.Socket);
        if (Process is null && _descriptors.Count == 1)
        {
            Process = _gateway.Processes.TakeOver(_descriptors[0], Peer);
            _descriptors.Clear();
        }

        Process?.Open.Add(this);
        if (Handshake.Answer(hello, _gateway.Welcome, Process is not null) is SocketProtocol.Rejected rejected)
        {
            return rejected.Refusal;
        }

        if (hello.Role == EngineRole.Worker && Process!.Ended.Count >= ProcessWatches.MaxEndedConnections)
        {
            return new Refusal(RefusalReason.Busy, $"Process {ProcessId} has attached {Process.Ended.Count} times already. Keep the connection.");
        }

        Role = hello.Role;
        Worker = Role == EngineRole.Worker ? new WorkerDesk(this, _gateway.Workers) : null;
        Send(_gateway.Welcome with { Version = SocketLimits.ProtocolVersion }, []);
        return null;
    }

    private bool Send(object message, ImmutableArray<SafeFileHandle> descriptors)
    {
        var body = new ArrayBufferWriter<byte>(256);
        var type = EngineSocketCodec.Write(message, body);
        lock (_sending)
        {
            if (_isEnding)
            {
                foreach (var descriptor in descriptors)
                {
                    descriptor.Dispose();
                }

                return false;
            }

            if (!_outgoing.TryAdd(type, body.WrittenMemory, descriptors))
            {
                _gateway.Post(() => End("more waits to be sent than is allowed"));
                return false;
            }

            Flush();
            return true;
        }
    }

    // With the lock held. What must be done on the gateway's thread is posted, since any thread may send.
    private void Flush()
    {
        if (_isOver)
        {
            return;
        }

        switch (_outgoing.Flush())
        {
            case SendStatus.Sent when _isWatchedForRoom || _isEnding:
            case SendStatus.Full when !_isWatchedForRoom:
                _gateway.Post(UpdateInterest);
                break;
            case SendStatus.Sent or SendStatus.Full:
                break;
            case SendStatus.Busy:
                _gateway.PostLater(RetryDelay, () =>
                {
                    lock (_sending)
                    {
                        Flush();
                    }
                });
                break;
            default:
                // It has closed its end, perhaps after a goodbye that waits to be read: without that its memory would count as held for as long as it lives.
                _outgoing.Dispose();
                _gateway.Post(EndAfterLastWords);
                break;
        }
    }

    private void UpdateInterest()
    {
        if (_isOver)
        {
            return;
        }

        bool isEmpty;
        lock (_sending)
        {
            isEmpty = _outgoing.IsEmpty;
            _isWatchedForRoom = !isEmpty;
        }

        if (isEmpty && _isEnding)
        {
            Dispose();
            return;
        }

        var isReading = !_isEnding && Volatile.Read(ref _waitingCommands) < _gateway.Options.MaxWaitingCommands;
        _gateway.Loop.Change(
            _token, _channel.Socket, (isReading ? Readiness.Readable : Readiness.None) | (isEmpty ? Readiness.None : Readiness.Writable));
    }

    private void DeadlinePassed()
    {
        if (_isEnding)
        {
            Dispose();
        }
        else if (Role is null)
        {
            Reject(new Refusal(RefusalReason.DeadlineExceeded, $"No Hello came within {_gateway.Options.HelloDeadline.TotalSeconds:0.#} s."));
        }
    }

    private void CloseReceived(bool isMessageOver = false)
    {
        _descriptors.ForEach(descriptor => descriptor.Dispose());
        _descriptors.Clear();
        if (!isMessageOver)
        {
            _gateway.UnfinishedBytes -= _isDropped ? 0 : _assembler.HeldBytes;
            _isDropped = true;
        }
    }
}
