using System.Collections.Immutable;
using System.Globalization;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos.Hosts;

/// <summary>
/// The hosts of a run and their supervisor: one that was killed is started again with the same GPU, run directory and ports, as a service manager would.
/// </summary>
internal sealed class HostFleet(RunPlan plan, int managementPort, ReplayBinaries binaries, ProcessGuard guard, string directory, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(8);

    private readonly HostProcess[] _hosts = new HostProcess[plan.HostCount];
    private readonly bool[] _isKilled = new bool[plan.HostCount];
    private readonly List<HostProcess> _all = [];
    private readonly int[] _lives = new int[plan.HostCount];

    public int Count => plan.HostCount;

    public ImmutableArray<HostReady> Ready { get; private set; } = [];

    public ImmutableArray<ManagementClient> Managements { get; private set; } = [];

    /// <summary>Shared by the hosts, as the hosts of one machine do.</summary>
    public string RunDirectory { get; } = Path.Combine(directory, "run");

    /// <summary>Starts all of them; returns once they are one domain.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        _hosts[0] = Start(LaunchOf(0) with { ManagementPort = managementPort });
        var first = await _hosts[0].WaitReadyAsync(time, cancellation);
        for (var index = 1; index < Count; index++)
        {
            _hosts[index] = Start(LaunchOf(index) with { Seeds = [AddressOf(first)] });
        }

        Ready = [.. await Task.WhenAll(_hosts.Select(host => host.WaitReadyAsync(time, cancellation)))];
        Managements = [.. Ready.Select(host => new ManagementClient(host.ManagementPort))];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(StartLimit);
        if (!await WaitWholeAsync(limit.Token))
        {
            cancellation.ThrowIfCancellationRequested();
            throw new RunFailedException($"the {plan.HostsText} did not become one domain within {StartLimit.TotalSeconds:0} s; the last lines of the first:{Environment.NewLine}{_hosts[0].Process.Tail()}");
        }
    }

    public void Signal(int index, int signal) => Signals.Send(_hosts[index].Process.ProcessId, signal);

    public int ProcessIdOf(int index) => _hosts[index].Process.ProcessId;

    public async Task KillAsync(int index)
    {
        _isKilled[index] = true;
        Signal(index, Signals.Kill);
        await _hosts[index].Process.WhenEnded;
    }

    /// <summary>Starts a host that was killed; returns once it says that it is ready.</summary>
    public async Task RestartAsync(int index, CancellationToken cancellation)
    {
        var ready = Ready[index];
        _hosts[index] = Start(LaunchOf(index) with
        {
            Port = ready.Port,
            ManagementPort = ready.ManagementPort,
            Seeds = [.. Ready.Where((_, other) => other != index).Select(AddressOf)],
        });
        _isKilled[index] = false;
        await _hosts[index].WaitReadyAsync(time, cancellation);
    }

    /// <summary>The host that coordinates now; the first when none can say.</summary>
    public async Task<int> FindCoordinatorAsync(CancellationToken cancellation)
    {
        foreach (var management in Managements)
        {
            if (await management.GetMembersAsync(cancellation) is { Oldest: { } oldest })
            {
                var port = oldest[(oldest.LastIndexOf(':') + 1)..];
                var index = Ready.Select(host => host.Port.ToString(CultureInfo.InvariantCulture)).ToList().IndexOf(port);
                return Math.Max(0, index);
            }
        }

        return 0;
    }

    /// <summary>Waits until every host is ready and knows every GPU; false when the time is over first.</summary>
    public async Task<bool> WaitWholeAsync(CancellationToken limit)
    {
        try
        {
            foreach (var management in Managements)
            {
                while (!(await management.IsReadyAsync(limit) && await management.GetGpusAsync(limit) is { } gpus && gpus.Count(gpu => gpu.IsAvailable) == Count))
                {
                    await Task.Delay(PollInterval, time, limit);
                }
            }

            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>What the domain says of its pools, from any host that answers.</summary>
    public async Task<PoolLedger?> GetPoolsAsync(CancellationToken cancellation)
    {
        foreach (var management in Managements)
        {
            if (await management.GetPoolsAsync(cancellation) is { Pools.IsDefault: false } ledger)
            {
                return ledger;
            }
        }

        return null;
    }

    /// <summary>The host that ended though nobody killed it, or null.</summary>
    public HostProcess? FindCrashed() => _hosts.Where((host, index) => !_isKilled[index] && host.Process.WhenEnded.IsCompleted).FirstOrDefault();

    public async ValueTask DisposeAsync()
    {
        foreach (var management in Managements)
        {
            management.Dispose();
        }

        await Task.WhenAll(_all.Select(host =>
        {
            Array.Fill(_isKilled, true);
            return host.Process.EndAsync(Grace, time);
        }));
        foreach (var host in _all)
        {
            await host.DisposeAsync();
        }
    }

    private static string AddressOf(HostReady host) => $"{ReplayRun.Loopback}:{host.Port}";

    private HostLaunch LaunchOf(int index) =>
        new(index, RunDirectory, $"host-{index}.{++_lives[index]}.log") { More = ["--test-crash-signal"] };

    private HostProcess Start(HostLaunch launch)
    {
        var host = HostProcess.Start(plan, launch, binaries.Host, guard, directory);
        _all.Add(host);
        return host;
    }
}
