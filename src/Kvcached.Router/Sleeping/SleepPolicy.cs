using Kvcached.Router.Models;

namespace Kvcached.Router.Sleeping;

/// <summary>What is to be done with a model now.</summary>
internal enum SleepAdvice
{
    Nothing,
    Sleep,
    Wake,
}

/// <summary>When a model is put to sleep by itself, and woken without a request.</summary>
internal static class SleepPolicy
{
    /// <param name="sleep">The model's settings.</param>
    /// <param name="facts">Its state.</param>
    /// <param name="now">The time of day, UTC.</param>
    /// <param name="isScheduled">Whether it was its schedule that put it to sleep: the end of its time wakes it.</param>
    public static SleepAdvice Advise(SleepSettings sleep, ModelFacts facts, TimeOnly now, bool isScheduled)
    {
        var isBedtime = IsBedtime(sleep, now);
        return facts.State switch
        {
            ModelState.Awake when sleep.IsPossible && facts.InState >= sleep.MinimumAwake && facts is { InFlight: 0, Queued: 0 }
                && (isBedtime || (sleep.IdleAfter is { } after && facts.Idle >= after)) => SleepAdvice.Sleep,
            ModelState.Asleep when isScheduled && !isBedtime => SleepAdvice.Wake,
            _ => SleepAdvice.Nothing,
        };
    }

    public static bool IsBedtime(SleepSettings sleep, TimeOnly now) => sleep.Schedule.Any(span => span.Contains(now));
}
