using Kvcached.Router.Models;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Sleeping;

/// <summary>How an attempt to put a model to sleep ended.</summary>
internal enum SleepOutcome
{
    Asleep,

    /// <summary>It wasn't awake.</summary>
    NotAwake,

    /// <summary>Its engine can't sleep.</summary>
    Impossible,

    /// <summary>A request came meanwhile.</summary>
    Interrupted,

    /// <summary>Requests in flight didn't end in time.</summary>
    NotDrained,

    /// <summary>An engine refused or failed; those that slept were woken again.</summary>
    EngineFailed,
}

/// <summary>Carries out sleep and wake: stop letting in, drain, the engines' own calls; waking the other way round. Each model at its own pace.</summary>
internal sealed partial class ModelSleeper(IEngineControl engines, RouterMetrics metrics, TimeProvider time, ILogger<ModelSleeper> log) : IDisposable
{
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Puts a model to sleep.</summary>
    /// <param name="gate">The model.</param>
    /// <param name="isInterruptible">Whether a request that comes before its engines are called has it stay awake.</param>
    public async Task<SleepOutcome> SleepAsync(ModelGate gate, bool isInterruptible)
    {
        var sleep = gate.Route.Sleep;
        if (!sleep.IsPossible)
        {
            return SleepOutcome.Impossible;
        }

        if (gate.TryBeginSleep(isInterruptible) is not { } attempt)
        {
            return SleepOutcome.NotAwake;
        }

        try
        {
            if (!await attempt.Drained.WaitAsync(sleep.DrainDeadline, time, _stopping.Token) || !gate.TryFallAsleep(attempt))
            {
                return SleepOutcome.Interrupted;
            }

            return await CallEnginesAsync(gate, attempt, sleep) ? SleepOutcome.Asleep : SleepOutcome.EngineFailed;
        }
        catch (TimeoutException)
        {
            LogNotDrained(gate.Route.Name, sleep.DrainDeadline.TotalSeconds);
            return SleepOutcome.NotDrained;
        }
        finally
        {
            // Does nothing to a model that sleeps by now.
            gate.StayAwake(attempt);
        }
    }

    /// <summary>Wakes the engines of a model whose gate wants it, and tells the gate.</summary>
    public async Task WakeAsync(ModelGate gate)
    {
        try
        {
            var sleep = gate.Route.Sleep;
            var startedAt = time.GetTimestamp();
            var failures = await Task.WhenAll(gate.Replicas.Select(replica => WakeReplicaAsync(gate, replica, sleep)));
            if (failures.All(failure => failure is not null))
            {
                metrics.WakeFailed(gate.Route.Name);
                gate.WakeFailed();
                return;
            }

            var took = time.GetElapsedTime(startedAt);
            metrics.Woke(gate.Route.Name, took);
            LogWoke(gate.Route.Name, took.TotalMilliseconds);
            gate.Woke(took);
        }
        catch (OperationCanceledException)
        {
            gate.WakeFailed();
        }
    }

    /// <summary>Takes over from the engines that a model sleeps already, as when the router was started again.</summary>
    public async Task LookAsync(ModelGate gate, CancellationToken cancellation)
    {
        var sleep = gate.Route.Sleep;
        if (EngineCalls.IsSleeping(sleep) is null)
        {
            return;
        }

        var asleep = await Task.WhenAll(gate.Replicas.Select(replica => engines.IsSleepingAsync(replica, sleep, cancellation)));
        if (asleep.Any(isAsleep => isAsleep == true))
        {
            gate.FoundAsleep();
        }
    }

    public void Dispose() => _stopping.Cancel();

    private async Task<bool> CallEnginesAsync(ModelGate gate, SleepAttempt attempt, SleepSettings sleep)
    {
        var replicas = gate.Replicas;
        var startedAt = time.GetTimestamp();
        var failures = await Task.WhenAll(replicas.Select(replica => engines.SleepAsync(replica, sleep, _stopping.Token)));

        // One that is gone holds nothing, and is awake when it comes back.
        if (failures.All(failure => failure is not null) || replicas.Zip(failures).Any(result => result.Second is not null && result.First.IsHealthy))
        {
            foreach (var failure in failures.OfType<string>())
            {
                LogSleepFailed(gate.Route.Name, failure);
            }

            await Task.WhenAll(replicas.Select(replica => WakeReplicaAsync(gate, replica, sleep)));
            metrics.SleepFailed(gate.Route.Name);
            return false;
        }

        var took = time.GetElapsedTime(startedAt);
        metrics.FellAsleep(gate.Route.Name, took);
        LogFellAsleep(gate.Route.Name, took.TotalMilliseconds);
        gate.FellAsleep(attempt);
        return true;
    }

    private async Task<string?> WakeReplicaAsync(ModelGate gate, Replica replica, SleepSettings sleep)
    {
        var failure = await engines.WakeAsync(replica, sleep, _stopping.Token);
        if (failure is not null)
        {
            (replica.NeedsWake, replica.IsHealthy) = (true, false);
            LogWakeFailed(gate.Route.Name, failure);
        }
        else if (replica.NeedsWake)
        {
            (replica.NeedsWake, replica.IsHealthy) = (false, true);
        }

        return failure;
    }

    [LoggerMessage(RouterEventIds.FellAsleep, LogLevel.Information, "Model {Model} sleeps; its engines took {Milliseconds:0} ms")]
    private partial void LogFellAsleep(string model, double milliseconds);

    [LoggerMessage(RouterEventIds.Woke, LogLevel.Information, "Model {Model} is awake; its engines took {Milliseconds:0} ms")]
    private partial void LogWoke(string model, double milliseconds);

    [LoggerMessage(RouterEventIds.SleepFailed, LogLevel.Warning, "Model {Model} stays awake: {Failure}")]
    private partial void LogSleepFailed(string model, string failure);

    [LoggerMessage(RouterEventIds.WakeFailed, LogLevel.Error, "An engine of model {Model} can't be woken: {Failure}. See the engine's own log")]
    private partial void LogWakeFailed(string model, string failure);

    [LoggerMessage(RouterEventIds.NotDrained, LogLevel.Warning, "Model {Model} stays awake: requests didn't end within {Seconds} s")]
    private partial void LogNotDrained(string model, double seconds);
}
