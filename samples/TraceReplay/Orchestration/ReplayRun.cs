using System.Collections.Immutable;
using Kvcached.TraceReplay.Display;
using Kvcached.TraceReplay.Reporting;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>
/// Conducts a run: starts hosts and engines, watches them until the last request is done, asks the hosts what they still hold, and
/// ends every process whatever happened.
/// </summary>
internal sealed class ReplayRun(RunPlan plan, RunSettings settings, ReplayBinaries binaries, IProgressView view, TimeProvider time)
{
    public const string Domain = "demo";

    public const string Loopback = "127.0.0.1";

    private static readonly TimeSpan ClusterLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(250);

    /// <summary>An engine verifies and closes its pool within this time of being asked to end.</summary>
    private static readonly TimeSpan EngineGrace = TimeSpan.FromSeconds(25);

    /// <summary>Enough of a GPU's UUID to tell it from others.</summary>
    private const int ShownIdLength = 12;

    private static readonly TimeSpan HostGrace = TimeSpan.FromSeconds(8);

    private readonly List<HostProcess> _hosts = [];
    private readonly List<EngineProcess> _engines = [];
    private ImmutableArray<string> _gpuNames = [];

    /// <summary>Samples of memory over time; complete after <see cref="RunAsync"/>.</summary>
    public RunRecorder Recorder { get; } = new(plan);

    /// <summary>Runs all of it.</summary>
    /// <param name="directory">A private directory for logs and the hosts' files.</param>
    /// <param name="cancellation">Ends everything early.</param>
    /// <exception cref="RunFailedException">A process could not begin, or a host ended early.</exception>
    public async Task<RunSummary> RunAsync(string directory, CancellationToken cancellation)
    {
        await using var guard = ProcessGuard.Start();
        var managements = ImmutableArray<ManagementClient>.Empty;
        try
        {
            var hosts = await StartHostsAsync(guard, directory, cancellation);
            managements = [.. hosts.Select(host => new ManagementClient(host.ManagementPort))];
            await WaitForClusterAsync(managements, cancellation);
            view.Say(hosts[0].WhereToLook());
            await StartEnginesAsync(hosts, guard, directory, cancellation);
            var begin = time.GetTimestamp();
            foreach (var engine in _engines)
            {
                engine.Go();
            }

            await WatchAsync(begin, managements[0], cancellation);
            var elapsed = time.GetElapsedTime(begin);
            var ledger = await LedgerCheck.RunAsync(managements, time, cancellation);
            return RunSummary.Create(plan, Recorder, [.. _engines.Select(EngineOutcome.Of)], ledger, elapsed);
        }
        finally
        {
            foreach (var management in managements)
            {
                management.Dispose();
            }

            await EndAllAsync();
        }
    }

    private async Task<ImmutableArray<HostReady>> StartHostsAsync(ProcessGuard guard, string directory, CancellationToken cancellation)
    {
        // The first host makes the domain; the others need its address.
        _hosts.Add(HostProcess.Start(plan, Launch(0, directory) with { ManagementPort = settings.ManagementPort }, binaries.Host, guard, directory));
        var first = await _hosts[0].WaitReadyAsync(time, cancellation);
        for (var index = 1; index < plan.HostCount; index++)
        {
            _hosts.Add(HostProcess.Start(plan, Launch(index, directory) with { Seeds = [$"{Loopback}:{first.Port}"] }, binaries.Host, guard, directory));
        }

        var ready = await Task.WhenAll(_hosts.Select(host => host.WaitReadyAsync(time, cancellation)));
        _gpuNames = [.. ready.Select(host => host.Gpu.Length <= ShownIdLength ? host.Gpu : host.Gpu[..ShownIdLength] + "…")];
        return [.. ready];
    }

    private static HostLaunch Launch(int index, string directory) => new(index, Path.Combine(directory, $"host-{index}"), $"host-{index}.log");

    private async Task WaitForClusterAsync(ImmutableArray<ManagementClient> managements, CancellationToken cancellation)
    {
        var begin = time.GetTimestamp();
        foreach (var management in managements)
        {
            while (!await IsCompleteAsync(management, cancellation))
            {
                ThrowIfHostEnded();
                if (time.GetElapsedTime(begin) > ClusterLimit)
                {
                    throw new RunFailedException(
                        $"the {plan.HostCount} hosts did not become one domain within {ClusterLimit.TotalSeconds:0} s; the last lines of the first:"
                        + Environment.NewLine + _hosts[0].Process.Tail());
                }

                await Task.Delay(PollInterval, time, cancellation);
            }
        }
    }

    /// <summary>True once the host is ready and knows every GPU of the run.</summary>
    private async Task<bool> IsCompleteAsync(ManagementClient management, CancellationToken cancellation) =>
        await management.IsReadyAsync(cancellation)
        && await management.GetGpusAsync(cancellation) is { } gpus
        && gpus.Count(gpu => gpu.IsAvailable) == plan.HostCount;

    private async Task StartEnginesAsync(ImmutableArray<HostReady> hosts, ProcessGuard guard, string directory, CancellationToken cancellation)
    {
        foreach (var engine in plan.Engines)
        {
            _engines.Add(EngineProcess.Start(plan, engine, settings, binaries, hosts, guard, directory));
        }

        await Task.WhenAll(_engines.Select(engine => engine.WaitReadyAsync(time, cancellation)));
    }

    private async Task WatchAsync(long begin, ManagementClient management, CancellationToken cancellation)
    {
        var allEnded = Task.WhenAll(_engines.Select(engine => engine.Process.WhenEnded));
        await view.ShowAsync(async update =>
        {
            while (!allEnded.IsCompleted)
            {
                ThrowIfHostEnded();
                await SampleAsync(begin, management, cancellation);
                update(Picture());
                await allEnded.WaitAsync(SampleInterval, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                cancellation.ThrowIfCancellationRequested();
            }

            update(Picture());
        });
    }

    /// <summary>
    /// What is mapped comes from the coordinator, all pools at one moment: the engines' reports are of different moments, and pages
    /// that move from one to another would be counted twice.
    /// </summary>
    private async Task SampleAsync(long begin, ManagementClient management, CancellationToken cancellation)
    {
        if (await management.GetPoolsAsync(cancellation) is { Pools.IsDefault: false } ledger)
        {
            Recorder.Sample(time.GetElapsedTime(begin), ledger.Pools, [.. _engines.Select(engine => engine.Latest)]);
        }
    }

    private RunPicture Picture() => new(plan, settings.Speed, _gpuNames, [.. _engines.Select(engine => engine.Latest)]);

    private void ThrowIfHostEnded()
    {
        if (_hosts.Find(host => host.Process.WhenEnded.IsCompleted) is { } ended)
        {
            throw ended.Ended();
        }
    }

    /// <summary>Engines first, so that they can close their pools; then the hosts.</summary>
    private async Task EndAllAsync()
    {
        await Task.WhenAll(_engines.Select(engine => engine.Process.EndAsync(EngineGrace, time)));
        await Task.WhenAll(_hosts.Select(host => host.Process.EndAsync(HostGrace, time)));
        foreach (var engine in _engines)
        {
            await engine.DisposeAsync();
        }

        foreach (var host in _hosts)
        {
            await host.DisposeAsync();
        }
    }
}
