using System.Globalization;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>One host of the run.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private readonly TaskCompletionSource<HostReady> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private HostProcess(string name, string program, IEnumerable<string> arguments, ProcessGuard guard, string logPath) =>
        Process = ChildProcess.Start(name, program, arguments, guard, logPath, line =>
        {
            if (HostReady.TryParse(line) is { } ready)
            {
                _ready.TrySetResult(ready);
            }
        });

    public ChildProcess Process { get; }

    /// <summary>Starts the host of one GPU.</summary>
    /// <param name="plan">The run.</param>
    /// <param name="launch">Which one, and how.</param>
    /// <param name="program">Path of the host program.</param>
    /// <param name="guard">Ends it with this process.</param>
    /// <param name="directory">The run's private directory.</param>
    public static HostProcess Start(RunPlan plan, HostLaunch launch, string program, ProcessGuard guard, string directory)
    {
        var number = launch.Index.ToString(CultureInfo.InvariantCulture);
        List<string> arguments =
        [
            "--gpu", plan.Backend == RunPlan.CudaBackend ? number : $"none:{number}",
            "--domain", ReplayRun.Domain,
            "--hosts", plan.HostCount.ToString(CultureInfo.InvariantCulture),
            "--backend", plan.Backend,
            "--memory", plan.MemoryBytes.ToString(CultureInfo.InvariantCulture),
            "--port", launch.Port.ToString(CultureInfo.InvariantCulture),
            "--management-port", launch.ManagementPort.ToString(CultureInfo.InvariantCulture),
            "--run-dir", launch.RunDirectory,
            .. launch.Seeds.SelectMany(seed => (string[])["--seed", seed]),
            .. launch.More,
        ];
        return new HostProcess($"host {number}", program, arguments, guard, Path.Combine(directory, launch.LogName));
    }

    /// <summary>What the host said when it began to listen.</summary>
    /// <exception cref="RunFailedException">It ended first, or took too long.</exception>
    public async Task<HostReady> WaitReadyAsync(TimeProvider time, CancellationToken cancellation)
    {
        await ((Task)Task.WhenAny(_ready.Task, Process.WhenEnded)).WaitAsync(StartLimit, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
        return _ready.Task.IsCompleted ? await _ready.Task
            : Process.WhenEnded.IsCompleted ? throw Ended()
            : throw new RunFailedException($"{Process.Name} did not become ready within {StartLimit.TotalSeconds:0} s; its last lines:{Environment.NewLine}{Process.Tail()}");
    }

    /// <summary>The exception to throw when it has ended before its time.</summary>
    public RunFailedException Ended() =>
        new($"{Process.Name} ended early with exit code {Process.ExitCode}; its last lines:{Environment.NewLine}{Process.Tail()}");

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
