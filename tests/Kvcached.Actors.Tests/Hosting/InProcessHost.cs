using Akka.Actor;
using Akka.Cluster;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>One host's actors, put together as the host process does it, on small real memory and a free port.</summary>
internal sealed class InProcessHost : IAsyncDisposable
{
    private readonly InProcessHostOptions _around;
    private ServiceProvider? _services;
    private Lifetime _lifetime = new();

    private InProcessHost(InProcessHostOptions around, FaultInjectingVirtualMemory memory, RankState state, FileDescriptorBudget descriptors)
    {
        _around = around;
        Memory = memory;
        State = state;
        Descriptors = descriptors;
    }

    public FaultInjectingVirtualMemory Memory { get; }

    public RankState State { get; }

    public PagePool Pages => State.Pages;

    public FileDescriptorBudget Descriptors { get; }

    public ActorSystem System => _services!.GetRequiredService<ActorSystem>();

    /// <summary><c>host:port</c> of its Akka.Remote.</summary>
    public string Address => $"127.0.0.1:{Cluster.Get(System).SelfAddress.Port}";

    public static Task<InProcessHost> StartAsync(int gpu, string runDirectory, params string[] seedHosts) =>
        StartAsync(gpu, new InProcessHostOptions(), options => options with { RunDirectory = runDirectory, SeedHosts = seedHosts });

    /// <param name="gpu">Number of its device.</param>
    /// <param name="around">What it is put together with.</param>
    /// <param name="change">What its actors are told, from those of a domain of two.</param>
    public static async Task<InProcessHost> StartAsync(int gpu, InProcessHostOptions around, Func<RankHostOptions, RankHostOptions> change)
    {
        var memory = new FaultInjectingVirtualMemory(
            new HostVirtualMemory(new HostVirtualMemoryOptions
            {
                Gpu = TestPools.Gpu(gpu), CapacityBytes = 256 * TestPools.PageBytes, GranularityBytes = TestPools.PageBytes,
            }),
            TimeProvider.System);
        var descriptors = new FileDescriptorBudget(1000);
        var pages = new PagePool(memory, new PagePoolOptions { CapacityBytes = 256 * TestPools.PageBytes }, TimeProvider.System, descriptors);
        var host = new InProcessHost(around, memory, new RankState(pages), descriptors);
        await host.StartActorsAsync(change);
        return host;
    }

    /// <summary>Actors that have ended are begun anew in the same process, as a host does that its cluster has removed: with its memory, and all that is known of it.</summary>
    public async Task RestartActorsAsync(Func<RankHostOptions, RankHostOptions> change)
    {
        await StopActorsAsync();
        await StartActorsAsync(change);
    }

    /// <summary>Returns when the domain's coordinator knows so many hosts, and what they hold.</summary>
    public async Task WaitForHostsAsync(int count, CancellationToken cancellation)
    {
        var coordinator = ActorRegistry.For(System).Get<CoordinatorProxy>();
        for (var known = 0; known < count; await Task.Delay(20, cancellation))
        {
            try
            {
                var domain = await coordinator.Ask<DomainProtocol.DomainDescription>(DomainProtocol.DescribeDomain.Instance, TimeSpan.FromSeconds(5), cancellation);
                known = domain.Gpus.Count(g => g.IsAvailable);
            }
            catch (AskTimeoutException)
            {
                // There is no coordinator yet, or the question was lost.
            }
        }
    }

    /// <summary>Leaves the cluster and ends; a second time does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_services is not null)
        {
            await StopActorsAsync();
            Pages.Dispose();
            Memory.Dispose();
        }
    }

    private async Task StartActorsAsync(Func<RankHostOptions, RankHostOptions> change)
    {
        _lifetime = new Lifetime();
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddSingleton<IHostApplicationLifetime>(_lifetime);
        services.AddAkka(KvcachedNames.ActorSystem, builder => builder
            .ConfigureLoggers(loggers => loggers.ClearLoggers())
            .AddHocon(_around.Hocon, HoconAddMode.Prepend)
            .AddKvcached(change(new RankHostOptions { Domain = "test", ExpectedHosts = 2, Port = 0, RunDirectory = string.Empty }), State)
            .AddHocon(_around.LastHocon(), HoconAddMode.Prepend));
        _services = services.BuildServiceProvider();
        foreach (var service in _services.GetServices<IHostedService>())
        {
            await service.StartAsync(CancellationToken.None);
        }
    }

    private async Task StopActorsAsync()
    {
        _lifetime.StopApplication();
        foreach (var service in _services!.GetServices<IHostedService>().Reverse())
        {
            await service.StopAsync(CancellationToken.None);
        }

        await _services!.DisposeAsync();
        _services = null;
    }

    private sealed class Lifetime : IHostApplicationLifetime
    {
        private readonly CancellationTokenSource _started = new();
        private readonly CancellationTokenSource _stopping = new();
        private readonly CancellationTokenSource _stopped = new();

        public CancellationToken ApplicationStarted => _started.Token;

        public CancellationToken ApplicationStopping => _stopping.Token;

        public CancellationToken ApplicationStopped => _stopped.Token;

        public void StopApplication() => _stopping.Cancel();
    }
}
