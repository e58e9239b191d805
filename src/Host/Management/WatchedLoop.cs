namespace Kvcached.Host.Management;

/// <summary>Takes a step again and again while somebody watches. With nobody watching it costs nothing. Safe to call from any thread.</summary>
/// <param name="interval">From the end of a step to the next one, at most.</param>
/// <param name="time">The clock.</param>
/// <param name="isWatched">Whether somebody does; asked between two steps.</param>
/// <param name="step">What is done.</param>
/// <param name="stopping">Ends it for good.</param>
internal sealed class WatchedLoop(TimeSpan interval, TimeProvider time, Func<bool> isWatched, Func<CancellationToken, Task> step, CancellationToken stopping)
{
    private readonly Lock _gate = new();
    private bool _isRunning;

    public bool IsRunning
    {
        get
        {
            lock (_gate)
            {
                return _isRunning;
            }
        }
    }

    /// <summary>Somebody watches from now on: begins, unless it runs already.</summary>
    public void Begin()
    {
        lock (_gate)
        {
            if (_isRunning)
            {
                return;
            }

            _isRunning = true;
        }

        _ = RunAsync();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            do
            {
                await step(stopping);
            }
            while (await timer.WaitForNextTickAsync(stopping) && GoesOn());
        }
        catch (OperationCanceledException)
        {
            // The host stops.
            End();
        }
        catch
        {
            // Whoever comes next begins it anew.
            End();
            throw;
        }
    }

    private bool GoesOn()
    {
        lock (_gate)
        {
            return _isRunning = isWatched();
        }
    }

    private void End()
    {
        lock (_gate)
        {
            _isRunning = false;
        }
    }
}
