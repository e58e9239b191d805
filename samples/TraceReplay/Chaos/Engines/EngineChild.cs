using System.Text.Json;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>One scheduler or worker process: a command a line to it, an answer a line from it, in order.</summary>
internal sealed class EngineChild : IAsyncDisposable
{
    private readonly Queue<TaskCompletionSource<JsonElement?>> _asked = new();
    private readonly Lock _lock = new();
    private bool _hasEnded;
    private bool _isAbandoned;

    private EngineChild(string name, ReplayBinaries binaries, ProcessGuard guard, string logPath)
    {
        Process = ChildProcess.Start(name, binaries.Engine, [.. binaries.EnginePrefix, EngineProcessCommand.Name], guard, logPath, OnLine);
        _ = EndWithProcessAsync();
    }

    public ChildProcess Process { get; }

    /// <summary>True once it was killed or told to end by the run; an end before that is a failure.</summary>
    public bool IsExpectedToEnd { get; private set; }

    public static EngineChild Start(string name, ReplayBinaries binaries, ProcessGuard guard, string logPath) => new(name, binaries, guard, logPath);

    /// <summary>Sends a command. The answer is null when the process ends first, or is given up meanwhile.</summary>
    public Task<JsonElement?> AskAsync(string command) => AskAsync(command, isOfOwner: true);

    /// <summary>Asks a process that its owner has given up, to see that it gets nothing any more.</summary>
    public Task<JsonElement?> AskAbandonedAsync(string command) => AskAsync(command, isOfOwner: false);

    /// <summary>Whoever waits for an answer waits no longer; what still comes isn't listened to.</summary>
    public void Abandon()
    {
        lock (_lock)
        {
            _isAbandoned = true;
            foreach (var asked in _asked)
            {
                asked.TrySetResult(null);
            }
        }
    }

    public void Signal(int signal) => Signals.Send(Process.ProcessId, signal);

    public async Task KillAsync()
    {
        IsExpectedToEnd = true;
        Signal(Signals.Kill);
        await Process.WhenEnded;
    }

    /// <summary>Lets it close what it has open and end.</summary>
    public async Task EndAsync(TimeSpan grace, TimeProvider time)
    {
        IsExpectedToEnd = true;
        Process.CloseInput();
        await Process.WhenEnded.WaitAsync(grace, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public ValueTask DisposeAsync()
    {
        IsExpectedToEnd = true;
        return Process.DisposeAsync();
    }

    private Task<JsonElement?> AskAsync(string command, bool isOfOwner)
    {
        var asked = new TaskCompletionSource<JsonElement?>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (_hasEnded || (isOfOwner && _isAbandoned))
            {
                return Task.FromResult<JsonElement?>(null);
            }

            // Under the lock, so that answers fit their questions.
            _asked.Enqueue(asked);
            Process.WriteLine(command);
        }

        return asked.Task;
    }

    private void OnLine(string line)
    {
        if (!line.StartsWith('{'))
        {
            return;
        }

        lock (_lock)
        {
            if (_asked.TryDequeue(out var asked))
            {
                asked.TrySetResult(JsonDocument.Parse(line).RootElement);
            }
        }
    }

    private async Task EndWithProcessAsync()
    {
        await Process.WhenEnded;
        lock (_lock)
        {
            _hasEnded = true;
            while (_asked.TryDequeue(out var asked))
            {
                asked.TrySetResult(null);
            }
        }
    }
}
