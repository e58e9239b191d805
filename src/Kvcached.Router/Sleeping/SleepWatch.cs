using Kvcached.Router.Models;

namespace Kvcached.Router.Sleeping;

/// <summary>Looks once a second at which models are to sleep or wake by themselves.</summary>
internal sealed class SleepWatch(ModelTable table, ModelSleeper sleeper, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly HashSet<ModelGate> _scheduled = [];

    /// <summary>Looks at all models once.</summary>
    /// <returns>Completes when what it began has ended.</returns>
    public Task LookAsync()
    {
        var now = TimeOnly.FromTimeSpan(time.GetUtcNow().TimeOfDay);
        _scheduled.IntersectWith(table.Models.Select(model => model.Gate));
        return Task.WhenAll(table.Models.Select(model => ActAsync(model.Gate, now)));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            // Not awaited: one engine that takes long to sleep holds up no other model, and its gate takes no second attempt meanwhile.
            _ = LookAsync();
        }
    }

    private Task ActAsync(ModelGate gate, TimeOnly now)
    {
        var sleep = gate.Route.Sleep;
        var facts = gate.Facts;
        if (facts.State == ModelState.Awake)
        {
            _scheduled.Remove(gate);
        }

        switch (SleepPolicy.Advise(sleep, facts, now, _scheduled.Contains(gate)))
        {
            case SleepAdvice.Sleep:
                if (SleepPolicy.IsBedtime(sleep, now))
                {
                    _scheduled.Add(gate);
                }

                return sleeper.SleepAsync(gate, isInterruptible: true);
            case SleepAdvice.Wake:
                _scheduled.Remove(gate);
                return gate.WakeAsync();
            default:
                return Task.CompletedTask;
        }
    }
}
