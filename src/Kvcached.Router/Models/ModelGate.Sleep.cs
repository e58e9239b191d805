namespace Kvcached.Router.Models;

/// <summary>Whether a model takes requests.</summary>
internal enum ModelState
{
    Awake,

    /// <summary>It is to sleep once the requests in flight have ended.</summary>
    Draining,

    /// <summary>Its engines are being put to sleep.</summary>
    FallingAsleep,
    Asleep,
    Waking,

    /// <summary>It is no longer configured.</summary>
    Removed,
}

/// <summary>One attempt to put a model to sleep. What it does after it was interrupted, when another may be under way, does nothing.</summary>
internal sealed class SleepAttempt(bool isInterruptible)
{
    private readonly TaskCompletionSource<bool> _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether a request that comes meanwhile has the model stay awake instead of waiting until it slept and woke.</summary>
    public bool IsInterruptible => isInterruptible;

    /// <summary>Completes with true once nothing is in flight, and with false when the attempt has ended without.</summary>
    public Task<bool> Drained => _drained.Task;

    internal void TellDrained(bool isDrained) => _drained.TrySetResult(isDrained);
}

/// <summary>What is known of a model at a moment, for policy, metrics and those who ask.</summary>
/// <param name="State">Its state.</param>
/// <param name="InState">For how long.</param>
/// <param name="InFlight">Requests with its engines.</param>
/// <param name="Queued">Requests that wait.</param>
/// <param name="Idle">How long it has had neither; zero while it has.</param>
/// <param name="HealthyReplicas">Engines that are taken to be well.</param>
internal sealed record ModelFacts(ModelState State, TimeSpan InState, int InFlight, int Queued, TimeSpan Idle, int HealthyReplicas);

internal sealed partial class ModelGate
{
    private ModelState _state = ModelState.Awake;
    private long _stateSince;
    private SleepAttempt? _attempt;
    private TaskCompletionSource<bool>? _woken;
    private TimeSpan _expectedWake;

    public ModelFacts Facts
    {
        get
        {
            lock (_gate)
            {
                var isBusy = _inFlight > 0 || _line.Count > 0;
                return new ModelFacts(
                    _state, _time.GetElapsedTime(_stateSince), _inFlight, _line.Count, isBusy ? TimeSpan.Zero : _time.GetElapsedTime(_lastActivityAt),
                    _replicas.Count(replica => replica.IsHealthy));
            }
        }
    }

    /// <summary>How long a wake is believed to take: as configured, then as measured.</summary>
    public TimeSpan ExpectedWake
    {
        get
        {
            lock (_gate)
            {
                return _expectedWake;
            }
        }
    }

    /// <summary>Stops letting requests in, so that the model falls quiet; <see cref="TryFallAsleep"/> is next, once it is.</summary>
    /// <param name="isInterruptible">Whether a request that comes meanwhile has it stay awake instead of waiting until it slept and woke.</param>
    /// <returns>Null when the model isn't awake, or requests wait that would interrupt it.</returns>
    public SleepAttempt? TryBeginSleep(bool isInterruptible)
    {
        lock (_gate)
        {
            if (_state != ModelState.Awake || (isInterruptible && _line.Count > 0))
            {
                return null;
            }

            TurnTo(ModelState.Draining);
            _attempt = new SleepAttempt(isInterruptible);
            TellDrained();
            return _attempt;
        }
    }

    /// <summary>From here on requests wait, whatever happens.</summary>
    /// <returns>False when a request came meanwhile, or one is still in flight; the model stays as it is.</returns>
    public bool TryFallAsleep(SleepAttempt attempt)
    {
        lock (_gate)
        {
            if (_attempt != attempt || _state != ModelState.Draining || _inFlight > 0)
            {
                return false;
            }

            TurnTo(ModelState.FallingAsleep);
            return true;
        }
    }

    /// <summary>Its engines sleep. If requests wait, it is to be woken at once.</summary>
    public void FellAsleep(SleepAttempt attempt)
    {
        bool isWakeWanted;
        lock (_gate)
        {
            if (_attempt != attempt || _state != ModelState.FallingAsleep)
            {
                return;
            }

            _attempt = null;
            TurnTo(ModelState.Asleep);
            isWakeWanted = _line.Count > 0 && TryTurnToWaking();
        }

        if (isWakeWanted)
        {
            _whenWakeWanted(this);
        }
    }

    /// <summary>It was not put to sleep after all. Does nothing once it sleeps.</summary>
    public void StayAwake(SleepAttempt attempt)
    {
        lock (_gate)
        {
            if (_attempt == attempt)
            {
                BeAwake();
            }
        }
    }

    /// <summary>Its engines were found asleep before any request came.</summary>
    public void FoundAsleep()
    {
        lock (_gate)
        {
            if (_state == ModelState.Awake && _inFlight == 0)
            {
                TurnTo(ModelState.Asleep);
            }
        }
    }

    /// <summary>Has a sleeping model woken without a request for it.</summary>
    /// <returns>Whether it is awake in the end; at once when it doesn't sleep.</returns>
    public Task<bool> WakeAsync()
    {
        bool isWakeWanted;
        Task<bool> woken;
        lock (_gate)
        {
            isWakeWanted = TryTurnToWaking();
            woken = _woken?.Task ?? Task.FromResult(_state == ModelState.Awake);
        }

        if (isWakeWanted)
        {
            _whenWakeWanted(this);
        }

        return woken;
    }

    /// <summary>Its engines are awake; who waits goes on.</summary>
    public void Woke(TimeSpan took)
    {
        lock (_gate)
        {
            if (_state == ModelState.Waking)
            {
                _expectedWake = took;
                BeAwake();
                TellWoken(true);
            }
        }
    }

    /// <summary>None of its engines could be woken; who waits is refused, and the next request has it tried again.</summary>
    public void WakeFailed()
    {
        lock (_gate)
        {
            if (_state == ModelState.Waking)
            {
                TurnTo(ModelState.Asleep);
                _line.RefuseAll(RefusalKind.WakeFailed, UnreachableRetry);
                TellWoken(false);
            }
        }
    }

    private void BeAwake()
    {
        TurnTo(ModelState.Awake);
        EndAttempt();
        Pump();
    }

    private void EndAttempt()
    {
        _attempt?.TellDrained(false);
        _attempt = null;
    }

    private void InterruptSleep()
    {
        if (_state == ModelState.Draining && _attempt is { IsInterruptible: true })
        {
            BeAwake();
        }
    }

    private bool TryTurnToWaking()
    {
        if (_state != ModelState.Asleep)
        {
            return false;
        }

        TurnTo(ModelState.Waking);
        _woken = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _line.MarkWaitingForWake();
        return true;
    }

    private void TellWoken(bool isAwake)
    {
        _woken?.TrySetResult(isAwake);
        _woken = null;
    }

    private void TellDrained()
    {
        if (_state == ModelState.Draining && _inFlight == 0)
        {
            _attempt?.TellDrained(true);
        }
    }

    // Below zero when it takes longer than it was believed to.
    private TimeSpan RemainingWake() => _expectedWake - _time.GetElapsedTime(_stateSince);

    private void TurnTo(ModelState state) => (_state, _stateSince) = (state, _time.GetTimestamp());
}
