using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Who has which session: a session is one user's, and answers to the connection that opened or renewed it last. For the gateway's thread.
/// </summary>
/// <param name="options">Limits.</param>
/// <param name="sessions">Makes sessions.</param>
/// <param name="tags">Keeps the files of tags.</param>
/// <param name="processes">The processes that have the sessions.</param>
/// <param name="post">Has something done on the gateway's thread.</param>
/// <param name="ended">Told of a session that is over.</param>
internal sealed class SchedulerDesk(
    GatewayOptions options, ISchedulerSessions sessions, TagKeeper tags, ProcessWatches processes, Action<Action> post, Action<SessionId> ended)
{
    private readonly Dictionary<SessionId, Entry> _entries = [];

    private sealed class Entry(ISchedulerSession session, uint userId)
    {
        public ISchedulerSession Session => session;

        public uint UserId => userId;

        public GatewayConnection? Line { get; set; }

        public ProcessWatch? Process { get; set; }
    }

    /// <summary>Sessions that are open or may be renewed.</summary>
    public int Count => _entries.Count;

    /// <summary>A scheduler said something. Its descriptors are taken over.</summary>
    /// <returns>Why its connection must end, or null.</returns>
    public Refusal? Receive(GatewayConnection line, object message, List<SafeFileHandle> descriptors)
    {
        switch (message)
        {
            case SocketProtocol.KeepTags keep when IsHad(line, keep.Session):
                var file = descriptors[0];
                descriptors.Clear();
                return tags.Keep(keep, line.UserId, file) is { Reason: RefusalReason.InvalidMessage or RefusalReason.InvalidCount } problem ? problem : null;
            case SocketProtocol.KeepTags:
                return null;
            case EngineProtocol.OpenSession open:
                if (Claim(line, open.Session) is { } refusal)
                {
                    line.Deliver(new EngineProtocol.SessionRefused(open.Session, refusal));
                    return null;
                }

                Tell(line, open);
                return null;
            case EngineProtocol.ICommand command when !IsHad(line, command.Session):
                Refuse(line, command);
                return null;
            case EngineProtocol.OpenPool open:
                Tell(line, open with { Spec = open.Spec with { OwnerUserId = line.UserId } });
                return null;
            case EngineProtocol.ICommand command:
                Tell(line, command);
                return null;
            default:
                return new Refusal(RefusalReason.InvalidMessage, $"{message.GetType().Name} is nothing that a scheduler says.");
        }
    }

    /// <summary>The connection is gone; its sessions wait for another one, as long as their leases last.</summary>
    public void Disconnected(GatewayConnection line)
    {
        foreach (var id in line.Sessions)
        {
            if (_entries.TryGetValue(id, out var entry) && ReferenceEquals(entry.Line, line))
            {
                entry.Line = null;
                entry.Session.Detach(line);
            }
        }

        line.Sessions.Clear();
    }

    /// <summary>The process that had these sessions has ended.</summary>
    public void Died(IEnumerable<SessionId> ids)
    {
        foreach (var id in ids)
        {
            if (_entries.TryGetValue(id, out var entry))
            {
                entry.Session.Died();
            }
        }
    }

    private Refusal? Claim(GatewayConnection line, SessionId id)
    {
        if (!_entries.TryGetValue(id, out var entry))
        {
            if (line.Sessions.Count >= options.MaxSessionsPerConnection)
            {
                return new Refusal(RefusalReason.Busy, $"This connection has {line.Sessions.Count} sessions, the most that it may have. Close one, or connect again.");
            }

            entry = new Entry(sessions.Open(id, () => post(() => Ended(id))), line.UserId);
            _entries.Add(id, entry);
        }
        else if (entry.UserId != line.UserId)
        {
            return new Refusal(RefusalReason.NotAllowed, $"{id} is another user's session. Open one under a new id.");
        }

        if (!ReferenceEquals(entry.Line, line))
        {
            if (line.Sessions.Count >= options.MaxSessionsPerConnection)
            {
                return new Refusal(RefusalReason.Busy, $"This connection has {line.Sessions.Count} sessions, the most that it may have. Close one, or connect again.");
            }

            entry.Line?.Forget(id);
            entry.Line = line;
            line.Take(id);
            Own(entry, id, line.Process);
            entry.Session.Attach(line);
        }

        return null;
    }

    private void Ended(SessionId id)
    {
        if (_entries.Remove(id, out var entry))
        {
            entry.Line?.Forget(id);
            Own(entry, id, null);
            tags.SessionEnded(id);
            ended(id);
        }
    }

    // The process whose end ends the session.
    private void Own(Entry entry, SessionId id, ProcessWatch? process)
    {
        if (entry.Process is { } last && !ReferenceEquals(last, process))
        {
            last.Sessions.Remove(id);
            processes.Release(last);
        }

        entry.Process = process;
        process?.Sessions.Add(id);
    }

    private bool IsHad(GatewayConnection line, SessionId id) => _entries.TryGetValue(id, out var entry) && ReferenceEquals(entry.Line, line);

    private void Tell(GatewayConnection line, EngineProtocol.ICommand command)
    {
        line.CommandGiven();
        _entries[command.Session].Session.Tell(line, command);
    }

    private static void Refuse(GatewayConnection line, EngineProtocol.ICommand command)
    {
        var refusal = new Refusal(
            RefusalReason.NotAllowed, $"{command.Session} wasn't opened over this connection. Open or renew it first: a session answers to the connection that did so last.");
        line.Deliver(command is EngineProtocol.IRequest request
            ? new EngineProtocol.RequestRefused(request.Session, request.Request, refusal)
            : new EngineProtocol.SessionRefused(command.Session, refusal));
    }
}
