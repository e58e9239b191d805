using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Ranks;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Pools;

namespace Kvcached.Benchmarks.Scale;

/// <summary>
/// A domain in one actor system: the coordinator, a rank with its page mapper and its memory for each GPU, and an engine for each pool. Nothing is
/// serialized, and nothing waits for a network: what is left is what the parts themselves take, and their threads.
/// </summary>
internal sealed class ScaleDomain : IAsyncDisposable
{
    private const int VirtualPageCount = 64;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-bench-");
    private readonly List<(HostVirtualMemory Memory, PagePool Pages)> _ranks = [];
    private readonly List<IActorRef> _engines = [];
    private readonly ActorSystem _system;

    private ScaleDomain(int rankCount)
    {
        // Page mappers of real hosts have a machine's processors to share with nobody of their kind: here they would only take them from one another.
        var spin = rankCount * 2 > Environment.ProcessorCount ? $"{KvcachedHocon.GpuPinnedDispatcher}.spin = 0" : string.Empty;
        _system = ActorSystem.Create(KvcachedNames.ActorSystem, ConfigurationFactory.ParseString(
            $$"""
            akka.loglevel = WARNING
            akka.stdout-loglevel = WARNING
            akka.remote.dot-netty.tcp { hostname = 127.0.0.1, port = 0 }
            {{spin}}
            """).WithFallback(ConfigurationFactory.ParseString("akka.actor.provider = cluster")).WithFallback(KvcachedHocon.LoadDefaults()));
    }

    /// <summary>Microseconds of the maps of all pools that were measured.</summary>
    public Samples Maps { get; } = new();

    /// <summary>Microseconds of their unmaps.</summary>
    public Samples Unmaps { get; } = new();

    public static async Task<ScaleDomain> StartAsync(int rankCount, int poolCount, int steps)
    {
        var domain = new ScaleDomain(rankCount);
        try
        {
            Cluster.Get(domain._system).Join(Cluster.Get(domain._system).SelfAddress);
            await domain.OpenAsync(rankCount, poolCount, steps).WaitAsync(Patience);
            return domain;
        }
        catch
        {
            await domain.DisposeAsync();
            throw;
        }
    }

    /// <summary>Has all engines map and unmap at the same time; returns the seconds until the last is done.</summary>
    public async Task<double> RunAsync(bool isMeasured)
    {
        var start = Stopwatch.GetTimestamp();
        var done = await Task.WhenAll(_engines.Select(e => e.Ask<ScaleEngine.Done>(ScaleEngine.Run.Instance, Patience)));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        foreach (var engine in isMeasured ? done : [])
        {
            Maps.AddRange(engine.MapMicroseconds);
            Unmaps.AddRange(engine.UnmapMicroseconds);
        }

        return seconds;
    }

    public async ValueTask DisposeAsync()
    {
        await _system.Terminate();
        foreach (var (memory, pages) in _ranks)
        {
            pages.Dispose();
            memory.Dispose();
        }

        _directory.Delete(recursive: true);
    }

    private async Task OpenAsync(int rankCount, int poolCount, int steps)
    {
        var settings = new CoordinatorSettings { Domain = "bench", ExpectedHosts = 1, MayUseLanes = false };
        var coordinator = _system.ActorOf(
            PoolCoordinator.Props(settings, new EpochStore(_directory.FullName, "bench"), TimeProvider.System).WithDispatcher(KvcachedHocon.CoordinatorDispatcher));
        var gpus = Enumerable.Range(0, rankCount).Select(i => GpuId.Parse($"HOST-{i}")).ToArray();
        var capacity = Geometries.BytesPerPageId * VirtualPageCount * poolCount;
        foreach (var gpu in gpus)
        {
            var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { Gpu = gpu, CapacityBytes = capacity });
            var pages = new PagePool(memory, new PagePoolOptions { CapacityBytes = capacity }, TimeProvider.System);
            _ranks.Add((memory, pages));
            _system.ActorOf(RankSupervisor.Props(new RankSupervisorSettings
            {
                State = new RankState(pages),
                Holdings = new CopierHoldings(),
                Coordinator = coordinator,
                DataChecker = ActorRefs.Nobody,
                Domain = "bench",
                DeviceName = "main memory",
                MapperDispatcher = KvcachedHocon.GpuPinnedDispatcher,
                RegisterInterval = TimeSpan.FromSeconds(1),
                HousekeepingInterval = TimeSpan.FromSeconds(1),
                WorkerDeadline = TimeSpan.FromSeconds(1),
            }));
        }

        for (var i = 0; i < poolCount; i++)
        {
            var spec = new PoolSpec($"bench-{i}", Geometries.Of(gpus, VirtualPageCount), PoolTarget.Host, 0, 0, 1);
            _engines.Add(_system.ActorOf(ScaleEngine.Props(coordinator, spec, steps)));
        }

        await Task.WhenAll(_engines.Select(e => e.Ask<ScaleEngine.Ready>(ScaleEngine.Open.Instance, Patience)));
    }
}
