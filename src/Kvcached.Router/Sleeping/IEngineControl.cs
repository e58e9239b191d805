using Kvcached.Router.Models;

namespace Kvcached.Router.Sleeping;

/// <summary>Puts one engine to sleep and wakes it. Failures are told as text; only cancellation is thrown.</summary>
internal interface IEngineControl
{
    /// <returns>Null when it sleeps, else why not.</returns>
    Task<string?> SleepAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation);

    /// <returns>Null when it is awake, else why not.</returns>
    Task<string?> WakeAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation);

    /// <returns>Null when it can't be asked, or didn't answer.</returns>
    Task<bool?> IsSleepingAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation);
}
