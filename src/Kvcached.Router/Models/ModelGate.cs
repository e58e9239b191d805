using System.Collections.Immutable;

namespace Kvcached.Router.Models;

/// <summary>
/// Lets requests of one model in: gives each the replica with the fewest, has the others wait within limits, and knows whether the model is awake. A request
/// that comes while the model sleeps has it woken, once, whoever else comes. It decides and waits only; who wakes engines is told by <c>whenWakeWanted</c>.
/// </summary>
internal sealed partial class ModelGate
{
    /// <summary>What is told to whoever is refused for another reason than a wake: trying again at once would meet the same.</summary>
    public static readonly TimeSpan ShortRetry = TimeSpan.FromSeconds(1);

    /// <summary>What is told while no engine can be reached.</summary>
    public static readonly TimeSpan UnreachableRetry = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly Action<ModelGate> _whenWakeWanted;
    private readonly WaitingLine _line = new();
    private ModelRoute _route;
    private ImmutableArray<Replica> _replicas;
    private uint _turn;
    private int _inFlight;
    private long _lastActivityAt;

    /// <param name="route">The model.</param>
    /// <param name="time">The clock of deadlines.</param>
    /// <param name="whenWakeWanted">Called without a lock, once for each time that the model must be woken; it answers by <see cref="Woke"/> or <see cref="WakeFailed"/>.</param>
    public ModelGate(ModelRoute route, TimeProvider time, Action<ModelGate> whenWakeWanted)
    {
        (_route, _time, _whenWakeWanted) = (route, time, whenWakeWanted);
        _replicas = [.. route.Replicas.Select(address => new Replica(address))];
        _lastActivityAt = _stateSince = time.GetTimestamp();
        _expectedWake = route.Sleep.ExpectedWake;
    }

    public ModelRoute Route => Volatile.Read(ref _route);

    public ImmutableArray<Replica> Replicas
    {
        get
        {
            lock (_gate)
            {
                return _replicas;
            }
        }
    }

    /// <summary>Lets a request in, at once or when its turn has come.</summary>
    /// <param name="cancellation">The caller has gone.</param>
    /// <returns>A ticket, to be given back by <see cref="Leave"/>, or a refusal.</returns>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public ValueTask<Admission> EnterAsync(CancellationToken cancellation)
    {
        bool isWakeWanted;
        Waiter? waiter = null;
        TimeSpan deadline;
        Admission admission;
        lock (_gate)
        {
            _lastActivityAt = _time.GetTimestamp();
            InterruptSleep();
            isWakeWanted = TryTurnToWaking();
            deadline = _route.QueueDeadline;
            if (FindRefusal() is { } refused)
            {
                admission = refused;
            }
            else if (_line.Count == 0 && TryGrant(null) is { } granted)
            {
                admission = granted;
            }
            else if (_line.Count >= _route.MaxQueued)
            {
                admission = Admission.Refused(RefusalKind.QueueFull, ShortRetry);
            }
            else
            {
                admission = default;
                _line.Add(waiter = new Waiter(_lastActivityAt) { WaitsForWake = _state is ModelState.FallingAsleep or ModelState.Waking });
            }
        }

        if (isWakeWanted)
        {
            _whenWakeWanted(this);
        }

        return waiter is null ? ValueTask.FromResult(admission) : new ValueTask<Admission>(WaitAsync(waiter, deadline, cancellation));
    }

    /// <summary>Gives a ticket back; once more does nothing.</summary>
    public void Leave(Ticket ticket)
    {
        lock (_gate)
        {
            if (ticket.HasLeft)
            {
                return;
            }

            ticket.HasLeft = true;
            ticket.Replica.Outstanding--;
            _inFlight--;
            _lastActivityAt = _time.GetTimestamp();
            Pump();
            TellDrained();
        }
    }

    /// <summary>A replica has become well again, so that who waits may go on.</summary>
    public void OnHealthChanged()
    {
        lock (_gate)
        {
            Pump();
        }
    }

    /// <summary>Takes over what the configuration says now. Replicas that stay keep what is known of them; requests on others end there.</summary>
    public void Update(ModelRoute route)
    {
        lock (_gate)
        {
            _replicas = [.. route.Replicas.Select(address => _replicas.FirstOrDefault(known => known.Address == address) ?? new Replica(address))];
            Volatile.Write(ref _route, route);
            Pump();
        }
    }

    /// <summary>The model is gone from the configuration: who waits is refused, requests in flight end as they would.</summary>
    public void Remove()
    {
        lock (_gate)
        {
            TurnTo(ModelState.Removed);
            _line.RefuseAll(RefusalKind.Removed, ShortRetry);
            EndAttempt();
            TellWoken(false);
        }
    }

    private Admission? FindRefusal() => _state switch
    {
        ModelState.Removed => Admission.Refused(RefusalKind.Removed, ShortRetry),
        ModelState.Awake when !_replicas.Any(replica => replica.IsHealthy) => Admission.Refused(RefusalKind.NoReplica, UnreachableRetry),
        ModelState.Waking when RemainingWake() is var remaining && remaining > _route.QueueDeadline => Admission.Refused(RefusalKind.WakeTooSlow, remaining),
        _ => null,
    };

    private Admission? TryGrant(Waiter? waiter)
    {
        if (_state != ModelState.Awake || ReplicaChoice.Choose(_replicas, _route.MaxInFlight, _turn) is not { } replica)
        {
            return null;
        }

        _turn++;
        replica.Outstanding++;
        _inFlight++;
        return Admission.Granted(new Ticket(replica, waiter is { WaitsForWake: true } ? _time.GetElapsedTime(waiter.EnteredAt) : null));
    }

    private void Pump()
    {
        while (_line.First is { } waiter && TryGrant(waiter) is { } granted)
        {
            _line.Remove(waiter);
            waiter.TrySetResult(granted);
        }
    }

    private async Task<Admission> WaitAsync(Waiter waiter, TimeSpan deadline, CancellationToken cancellation)
    {
        using var overdue = new CancellationTokenSource(deadline, _time);
        await using var whenOverdue = overdue.Token.UnsafeRegister(_ => Abandon(waiter, null), null);
        await using var whenGone = cancellation.UnsafeRegister(_ => Abandon(waiter, cancellation), null);
        return await waiter.Task;
    }

    // Does nothing to one that was granted meanwhile: its ticket reaches the caller, who gives it back.
    private void Abandon(Waiter waiter, CancellationToken? cancelled)
    {
        lock (_gate)
        {
            if (!_line.Remove(waiter))
            {
                return;
            }

            _lastActivityAt = _time.GetTimestamp();
            if (cancelled is { } token)
            {
                waiter.TrySetCanceled(token);
            }
            else
            {
                waiter.TrySetResult(Admission.Refused(RefusalKind.QueueDeadline, _state == ModelState.Waking ? RemainingWake() : ShortRetry));
            }
        }
    }
}
