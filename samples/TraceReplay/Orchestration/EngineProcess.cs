using System.Collections.Immutable;
using System.Globalization;
using Kvcached.TraceReplay.Engine;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>One engine of the run, as a process of its own, and what it last said.</summary>
internal sealed class EngineProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile EngineReport? _latest;
    private volatile EngineMessage? _summary;
    private volatile string? _failure;

    private EngineProcess(EnginePlan plan, string program, IEnumerable<string> arguments, ProcessGuard guard, string logPath)
    {
        Plan = plan;
        Process = ChildProcess.Start($"engine {plan.Name}", program, arguments, guard, logPath, OnLine);
    }

    public EnginePlan Plan { get; }

    public ChildProcess Process { get; }

    /// <summary>Its last counts; null before the first. Once it has ended, all its memory has come back.</summary>
    public EngineReport? Latest => _latest is { } report && Process.WhenEnded.IsCompleted ? report with { MappedBytesPerRank = [], LiveBytesPerRank = [] } : _latest;

    /// <summary>Its summary, once it has ended well.</summary>
    public EngineMessage? Summary => _summary;

    /// <summary>What it said when it failed.</summary>
    public string? Failure => _failure;

    /// <summary>Starts an engine over the first hosts of <paramref name="hosts"/>.</summary>
    public static EngineProcess Start(
        RunPlan run, EnginePlan plan, RunSettings settings, ReplayBinaries binaries, ImmutableArray<HostReady> hosts, ProcessGuard guard, string directory)
    {
        static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);
        string[] arguments =
        [
            .. binaries.EnginePrefix, "engine",
            "--name", plan.Name,
            "--model", plan.Model.Name,
            "--layers", Text(plan.Model.LayerCount),
            "--gpus", string.Join(',', hosts.Take(plan.RankCount).Select(host => host.Gpu)),
            "--hosts", string.Join(',', hosts.Select(host => $"{ReplayRun.Loopback}:{host.Port}")),
            "--domain", ReplayRun.Domain,
            "--virtual", Text(run.MemoryBytes * 2),
            "--trace", plan.TracePath,
            "--offset-minutes", Text(plan.Offset.TotalMinutes),
            "--minutes", Text(settings.Minutes),
            "--speed", Text(settings.Speed),
            "--decode-step-ms", Text(settings.DecodeStepMilliseconds),
            "--prefill-tokens-per-second", Text(settings.PrefillTokensPerSecond),
            "--drain-seconds", Text(settings.DrainSeconds),
            "--seed", Text(settings.Seed),
        ];
        return new EngineProcess(plan, binaries.Engine, arguments, guard, Path.Combine(directory, $"engine-{plan.Name}.log"));
    }

    /// <summary>Waits until its pool is open.</summary>
    /// <exception cref="RunFailedException">It ended first, or took too long.</exception>
    public async Task WaitReadyAsync(TimeProvider time, CancellationToken cancellation)
    {
        await ((Task)Task.WhenAny(_ready.Task, Process.WhenEnded)).WaitAsync(StartLimit, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
        if (!_ready.Task.IsCompleted)
        {
            throw new RunFailedException(
                _failure ?? $"{Process.Name} did not open its pool; its last lines:{Environment.NewLine}{Process.Tail()}");
        }
    }

    /// <summary>Lets trace time begin.</summary>
    public void Go() => Process.WriteLine(EngineMessage.Go);

    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private void OnLine(string line)
    {
        switch (EngineMessage.TryParse(line))
        {
            case { Event: EngineMessage.Ready }:
                _ready.TrySetResult();
                break;
            case { Event: EngineMessage.Stats, Report: { } report }:
                _latest = report;
                break;
            case { Event: EngineMessage.Summary, Report: { } report } summary:
                _latest = report;
                _summary = summary;
                break;
            case { Event: EngineMessage.Failed } failed:
                _failure = failed.Text;
                break;
        }
    }
}
