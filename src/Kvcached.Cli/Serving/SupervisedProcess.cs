using System.ComponentModel;
using Kvcached.Cli.Processes;

namespace Kvcached.Cli.Serving;

/// <summary>One process that is kept running: started, started again when it ends, and ended when told to.</summary>
/// <param name="Name">For messages and its log.</param>
/// <param name="Command">Program and arguments.</param>
/// <param name="Environment">Variables to set.</param>
/// <param name="Directory">Where it runs; null for the launcher's own place.</param>
internal sealed record ProcessSpec(string Name, IReadOnlyList<string> Command, IReadOnlyDictionary<string, string> Environment, string? Directory);

/// <summary>Keeps one process running.</summary>
internal sealed class SupervisedProcess(ProcessSpec spec, ProcessGuard guard, string logDirectory, Action<string> say, TimeProvider time) : IDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource<string> _firstLine = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;
    private TimeSpan _grace;
    private volatile string _lastEnd = string.Empty;

    public string Name => spec.Name;

    public string LogPath { get; } = Path.Combine(logDirectory, string.Concat(spec.Name.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.' ? letter : '_')) + ".log");

    /// <summary>The first line of its output, as hosts and the router say that they are ready.</summary>
    public Task<string> FirstLine => _firstLine.Task;

    /// <summary>Completes when it runs no more: stopped, or given up.</summary>
    public Task Ended => _ended.Task;

    /// <summary>How it ended last; empty while it never has.</summary>
    public string LastEnd => _lastEnd;

    /// <summary>Starts it.</summary>
    public void Start() => _running = RunAsync();

    /// <summary>Asks it to end, and kills it after the grace time.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        _grace = grace;
        await _stopping.CancelAsync();
        await _running;
    }

    public void Dispose() => _stopping.Dispose();

    private async Task RunAsync()
    {
        var policy = new RestartPolicy();
        try
        {
            while (!_stopping.IsCancellationRequested)
            {
                var startedAt = time.GetTimestamp();
                await LiveAsync();
                if (_stopping.IsCancellationRequested)
                {
                    return;
                }

                if (policy.AfterEnd(time.GetElapsedTime(startedAt)) is not { } pause)
                {
                    say($"{Name} {_lastEnd} and is given up after {RestartPolicy.MaxShortLives} short lives; see {LogPath}");
                    return;
                }

                say($"{Name} {_lastEnd}; it is started again{(pause > TimeSpan.Zero ? $" in {pause.TotalSeconds:0.#} s" : string.Empty)}");
                await Task.Delay(pause, time, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        finally
        {
            _ended.TrySetResult();
        }
    }

    private async Task LiveAsync()
    {
        ChildProcess process;
        try
        {
            process = ChildProcess.Start(spec.Name, spec.Command[0], spec.Command.Skip(1), guard, LogPath, line => _firstLine.TrySetResult(line), spec.Environment, spec.Directory);
        }
        catch (Exception exception) when (exception is Win32Exception or IOException or UnauthorizedAccessException)
        {
            _lastEnd = $"can't be started: {exception.Message.TrimEnd('.')}";
            return;
        }

        await using (process)
        {
            await process.WhenEnded.WaitAsync(_stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!process.WhenEnded.IsCompleted)
            {
                await process.EndAsync(_grace, time);
            }

            _lastEnd = $"ended with exit code {process.ExitCode}";
        }
    }
}
