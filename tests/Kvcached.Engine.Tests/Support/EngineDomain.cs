using System.Text.Json;
using Kvcached.Core.Contracts;

namespace Kvcached.Engine.Tests.Support;

/// <summary>Hosts of one domain, and the engine processes that a test starts beside them.</summary>
internal sealed class EngineDomain : IAsyncDisposable
{
    private readonly HostLauncher _launcher = new();
    private readonly List<Probe> _probes = [];
    private string[] _arguments = [];

    public List<RunningHost> Hosts { get; } = [];

    /// <summary>Names of the hosts' devices, in order, as a pool's ranks have them.</summary>
    public string Gpus => string.Join(',', Hosts.Select(host => host.Ready.Gpu));

    /// <summary>Starts so many hosts, and waits until they are one domain.</summary>
    public static Task<EngineDomain> StartAsync(int hosts, params string[] arguments) => StartAsync([], hosts, arguments);

    private static async Task<EngineDomain> StartAsync(string[] through, int hosts, string[] arguments)
    {
        var domain = new EngineDomain { _arguments = ["--memory", "512MiB", "--hosts", $"{hosts}", .. arguments] };
        domain._launcher.Through = through;
        for (var index = 0; index < hosts; index++)
        {
            domain.Hosts.Add(await domain.StartHostAsync(index, "0", "0", index == 0 ? null : domain.Hosts[0]));
        }

        await domain.IsWholeAsync();
        return domain;
    }

    /// <summary>Returns once another host of the machine has a copy of a scheduler's file of tags.</summary>
    public async Task AreTagsCopiedAsync()
    {
        var places = Path.Combine(Path.GetDirectoryName(SocketOf(0))!, $"tags@{Hosts[0].Ready.Domain}");
        var waited = System.Diagnostics.Stopwatch.StartNew();
        while (!Directory.Exists(places) || !Directory.EnumerateFiles(places).Any(path => Path.GetFileName(path).Contains('+', StringComparison.Ordinal)))
        {
            Assert.True(waited.Elapsed < HostLauncher.Patience, $"No copy of tags is noted in {places}.");
            await Task.Delay(50);
        }
    }

    /// <summary>Kills a host; its engines' processes live on.</summary>
    public async Task KillHostAsync(int index)
    {
        Hosts[index].Kill();
        await Hosts[index].WaitForExitAsync();
    }

    /// <summary>Stops a host as a supervisor does; its engines' processes live on.</summary>
    public async Task StopHostAsync(int index)
    {
        Hosts[index].Terminate();
        Assert.Equal(0, await Hosts[index].WaitForExitAsync());
    }

    /// <summary>Has a host's GPU drained, and returns once nothing is under way there.</summary>
    public async Task<DrainView> DrainAsync(int index)
    {
        var waited = System.Diagnostics.Stopwatch.StartNew();
        while (true)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"/gpus/{Hosts[index].Ready.Gpu}/drain");
            request.Headers.Authorization = new("Bearer", (await File.ReadAllTextAsync(Hosts[index].Ready.TokenFile)).Trim());
            using var response = await Hosts[index].Http.SendAsync(request);
            var body = await response.Content.ReadAsStringAsync();
            if (response.IsSuccessStatusCode && JsonSerializer.Deserialize(body, ManagementJsonContext.Default.DrainView) is { IsQuiet: true } drained)
            {
                return drained;
            }

            Assert.True(waited.Elapsed < HostLauncher.Patience, $"{Hosts[index].Ready.Gpu} was never drained: {body}");
            await Task.Delay(50);
        }
    }

    /// <summary>Starts a host again that was killed or stopped, where it was.</summary>
    /// <param name="index">Which.</param>
    /// <param name="seed">One that runs, to join; null = none does.</param>
    public async Task RestartHostAsync(int index, int? seed) => Hosts[index] = await StartHostAsync(
        index, $"{Hosts[index].Ready.Port}", $"{Hosts[index].Ready.ManagementPort}", seed is null ? null : Hosts[seed.Value]);

    /// <summary>All hosts are up, and all ranks have told their coordinator what they hold.</summary>
    public async Task IsWholeAsync()
    {
        foreach (var host in Hosts)
        {
            await host.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
        }
    }

    private async Task<RunningHost> StartHostAsync(int index, string port, string managementPort, RunningHost? seed)
    {
        string[] seeds = seed is null ? [] : ["--seed", $"127.0.0.1:{seed.Ready.Port}"];
        var host = _launcher.Start(["--port", port, "--management-port", managementPort, "--gpu", $"none:{index}", .. seeds, .. _arguments]);
        await host.ReadReadyAsync();
        return host;
    }

    /// <summary>Starts hosts through another program, which ends them when it is ended itself.</summary>
    public static Task<EngineDomain> StartThroughAsync(string[] through, int hosts, params string[] arguments) => StartAsync(through, hosts, arguments);

    public Probe StartProbe(params string[] through)
    {
        var probe = Probe.Start(through);
        _probes.Add(probe);
        return probe;
    }

    /// <summary>A scheduler with an open session at the first host.</summary>
    public async Task<Probe> StartSchedulerAsync(string engine = "probe", params string[] through)
    {
        var probe = StartProbe(through);
        await probe.DoAsync($"open-session socket={SocketOf(0)} engine={engine}");
        return probe;
    }

    /// <summary>A worker of each rank, attached.</summary>
    public async Task<Probe[]> StartWorkersAsync(string pool)
    {
        var workers = Hosts.Select(_ => StartProbe()).ToArray();
        for (var rank = 0; rank < workers.Length; rank++)
        {
            await workers[rank].DoAsync(AttachCommand(pool, rank));
        }

        return workers;
    }

    public string AttachCommand(string pool, int rank) => $"attach socket={SocketOf(rank)} pool={pool} rank={rank} gpu={Hosts[rank].Ready.Gpu}";

    public string OpenPoolCommand(string pool, string more = "") => $"open-pool name={pool} gpus={Gpus} {more}";

    public string SocketOf(int rank) => Hosts[rank].Ready.Socket;

    /// <summary>What the domain says of its GPUs, once it is as wanted.</summary>
    public Task<GpuView[]> GpusUntilAsync(Func<GpuView[], bool> isWanted) =>
        Hosts[0].GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, isWanted);

    /// <summary>Nothing is lent, set aside or quarantined any more.</summary>
    public Task<GpuView[]> IsEmptyAsync() =>
        GpusUntilAsync(gpus => gpus.All(gpu => gpu.UsedBytes == 0 && gpu.ReservedBytes == 0 && gpu.QuarantinedBytes == 0));

    /// <summary>Returns once all these workers have so many pages, and says whether they are the same ones. What a worker has just done it tells of a moment later.</summary>
    public static async Task AgreeAsync(IEnumerable<Probe> workers, int pages, string when = "")
    {
        var digests = new HashSet<string?>();
        foreach (var worker in workers)
        {
            var last = default(JsonElement);
            var isThere = await worker.IsWithinPatienceAsync("arena", arena => (last = arena).GetProperty("pages").GetInt32() == pages);
            Assert.True(isThere, $"{when}: a worker should have {pages} pages; it says {last}.");
            digests.Add(last.GetProperty("digest").GetString());
        }

        Assert.True(digests.Count == 1, $"{when}: the workers have {pages} pages each, but not the same ones.");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var probe in _probes)
        {
            await probe.DisposeAsync();
        }

        await _launcher.DisposeAsync();
    }

    public static string List(IEnumerable<int> blocks) => string.Join(',', blocks);

    public static int[] BlocksOf(JsonElement answer) => [.. answer.GetProperty("blocks").EnumerateArray().Select(block => block.GetInt32())];
}
