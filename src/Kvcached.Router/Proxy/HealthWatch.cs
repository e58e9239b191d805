using Kvcached.Router.Models;
using Kvcached.Router.Sleeping;

namespace Kvcached.Router.Proxy;

/// <summary>Asks every engine whether it is well. One that doesn't answer twice in a row is given no requests until it answers again; one that could not be woken is woken first.</summary>
internal sealed partial class HealthWatch(ModelTable table, HttpMessageInvoker http, IEngineControl engines, TimeProvider time, ILogger<HealthWatch> log) : BackgroundService
{
    private const int FailuresToLose = 2;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly Dictionary<Replica, int> _failures = [];
    private readonly HashSet<Replica> _asking = [];

    /// <summary>Asks all engines that aren't being asked.</summary>
    /// <returns>Completes when all have answered or not.</returns>
    public Task AskAllAsync(CancellationToken cancellation)
    {
        var asked = table.Models.SelectMany(model => model.Gate.Replicas.Select(replica => (model.Gate, Replica: replica))).ToArray();
        lock (_asking)
        {
            foreach (var gone in _failures.Keys.Except(asked.Select(pair => pair.Replica)).ToArray())
            {
                _failures.Remove(gone);
            }

            asked = [.. asked.Where(pair => _asking.Add(pair.Replica))];
        }

        return Task.WhenAll(asked.Select(pair => AskAsync(pair.Gate, pair.Replica, cancellation)));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            // Not awaited: an engine that doesn't answer holds up no other's turn.
            _ = AskAllAsync(stoppingToken);
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async Task AskAsync(ModelGate gate, Replica replica, CancellationToken cancellation)
    {
        try
        {
            var failure = await FindFailureAsync(gate, replica, cancellation);
            Note(gate, replica, failure);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The router ends.
        }
        finally
        {
            lock (_asking)
            {
                _asking.Remove(replica);
            }
        }
    }

    private async Task<string?> FindFailureAsync(ModelGate gate, Replica replica, CancellationToken cancellation)
    {
        using var overdue = new CancellationTokenSource(AnswerTimeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(overdue.Token, cancellation);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, replica.Prefix + gate.Route.HealthPath);
            using var response = await http.SendAsync(request, linked.Token);
            if (!response.IsSuccessStatusCode)
            {
                return $"it answered {(int)response.StatusCode}";
            }

            // While its model sleeps, the next request wakes it.
            if (!replica.NeedsWake || gate.Facts.State != ModelState.Awake)
            {
                return null;
            }

            var failure = await engines.WakeAsync(replica, gate.Route.Sleep, cancellation);
            replica.NeedsWake = failure is not null;
            return failure;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"no answer within {AnswerTimeout.TotalSeconds} s";
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            return exception.Message;
        }
    }

    private void Note(ModelGate gate, Replica replica, string? failure)
    {
        int failures;
        lock (_asking)
        {
            failures = failure is null ? 0 : _failures.GetValueOrDefault(replica) + 1;
            _failures[replica] = failures;
        }

        if (failure is null && !replica.IsHealthy)
        {
            replica.IsHealthy = true;
            LogFound(replica.Prefix, gate.Route.Name);
            gate.OnHealthChanged();
        }
        else if (failures >= FailuresToLose && replica.IsHealthy)
        {
            replica.IsHealthy = false;
            LogLost(replica.Prefix, gate.Route.Name, failure!);
        }
    }

    [LoggerMessage(RouterEventIds.ReplicaFound, LogLevel.Information, "{Replica} of model {Model} is well again")]
    private partial void LogFound(string replica, string model);

    [LoggerMessage(RouterEventIds.ReplicaLost, LogLevel.Warning, "{Replica} of model {Model} is given no requests: {Failure}")]
    private partial void LogLost(string replica, string model, string failure);
}
