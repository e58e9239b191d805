using Akka.Actor;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Host.Gateway;

/// <summary>
/// The sessions of schedulers, which outlive the host's actor system: each has an actor in the present one, and gets another in the next. What is said
/// in between is lost, as on a bad line; engines ask again. Safe for use by several threads.
/// </summary>
internal sealed class LastingSessions : ISchedulerSessions
{
    private readonly Lock _lock = new();
    private readonly HashSet<LastingSession> _open = [];
    private Func<LastingSession, IActorRef>? _start;

    public ISchedulerSession Open(SessionId session, Action ended)
    {
        lock (_lock)
        {
            var opened = new LastingSession(session, over =>
            {
                lock (_lock)
                {
                    _open.Remove(over);
                }

                ended();
            });
            _open.Add(opened);
            opened.Use(_start?.Invoke(opened));
            return opened;
        }
    }

    /// <summary>An actor system has begun: sessions are relayed by its actors from now on.</summary>
    public void Use(ActorSystem system, IActorRef coordinator)
    {
        lock (_lock)
        {
            _start = session => system.ActorOf(SessionRelay.Props(session.Id, coordinator, session.End));
            foreach (var session in _open)
            {
                session.Use(_start(session));
            }
        }
    }

    /// <summary>That system has ended.</summary>
    public void Release()
    {
        lock (_lock)
        {
            _start = null;
            foreach (var session in _open)
            {
                session.Use(null);
            }
        }
    }
}

/// <summary>One of them.</summary>
/// <param name="id">Its id.</param>
/// <param name="ended">Called once, when it is over.</param>
internal sealed class LastingSession(SessionId id, Action<LastingSession> ended) : ISchedulerSession
{
    private readonly Lock _lock = new();
    private readonly HashSet<GivenCommand> _given = [];
    private IActorRef? _relay;
    private ISchedulerLine? _line;
    private bool _hasDied;
    private bool _isOver;

    public SessionId Id => id;

    public void Attach(ISchedulerLine line)
    {
        lock (_lock)
        {
            _line = line;
            _relay?.Tell(new SessionRelay.Attach(line));
        }
    }

    public void Detach(ISchedulerLine line)
    {
        lock (_lock)
        {
            _line = ReferenceEquals(_line, line) ? null : _line;
            _relay?.Tell(new SessionRelay.Detach(line));
        }
    }

    public void Tell(ISchedulerLine line, EngineProtocol.ICommand command)
    {
        var given = new GivenCommand(line);
        lock (_lock)
        {
            if (_relay is not null)
            {
                _given.Add(given);
                _relay.Tell(new SessionRelay.Command(command, () => Take(given)));
                return;
            }
        }

        line.CommandTaken();
    }

    public void Died()
    {
        lock (_lock)
        {
            _hasDied = true;
            _relay?.Tell(SessionRelay.Died.Instance);
        }
    }

    /// <summary>Relayed by that actor from now on; null = by none.</summary>
    public void Use(IActorRef? relay)
    {
        lock (_lock)
        {
            _relay = null;
        }

        Forget();
        lock (_lock)
        {
            _relay = relay;
            if (_line is not null)
            {
                relay?.Tell(new SessionRelay.Attach(_line));
            }

            if (_hasDied)
            {
                relay?.Tell(SessionRelay.Died.Instance);
            }
        }
    }

    /// <summary>It is over.</summary>
    public void End()
    {
        lock (_lock)
        {
            if (_isOver)
            {
                return;
            }

            _isOver = true;
            _relay = null;
        }

        Forget();
        ended(this);
    }

    // The relay's mailbox goes with it, and connections would read no more for commands that nobody takes.
    private void Forget()
    {
        GivenCommand[] lost;
        lock (_lock)
        {
            lost = [.. _given];
            _given.Clear();
        }

        foreach (var given in lost)
        {
            given.Line.CommandTaken();
        }
    }

    private void Take(GivenCommand given)
    {
        lock (_lock)
        {
            if (!_given.Remove(given))
            {
                return;
            }
        }

        given.Line.CommandTaken();
    }

    private sealed class GivenCommand(ISchedulerLine line)
    {
        public ISchedulerLine Line => line;
    }
}
