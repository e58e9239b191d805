namespace Kvcached.Gpu.Faults;

/// <summary>A call that was told to hang: says when somebody ran into it, and lets them go.</summary>
public sealed class HangingCall : IDisposable
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes once the call hangs.</summary>
    public Task Reached => _reached.Task;

    /// <summary>Lets the call go on to the driver, now or when it comes.</summary>
    public void Release() => _released.TrySetResult();

    /// <summary>Does the same as <see cref="Release"/>.</summary>
    public void Dispose() => Release();

    /// <summary>Blocks the calling thread, as a driver that hangs does.</summary>
    internal void Hang()
    {
        _reached.TrySetResult();
        _released.Task.GetAwaiter().GetResult();
    }
}
