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
    private readonly ServiceProvider _services;
    private readonly Lifetime _lifetime;

    private InProcessHost(ServiceProvider services, Lifetime lifetime, FaultInjectingVirtualMemory memory, RankState state, FileDescriptorBudget descriptors)
    {
        _services = services;
        _lifetime = lifetime;
        Memory = memory;
        State = state;
        Descriptors = descriptors;
    }

    public FaultInjectingVirtualMemory Memory { get; }

    public RankState State { get; }

    public PagePool Pages => State.Pages;

    public FileDescriptorBudget Descriptors { get; }

    public ActorSystem System => _services.GetRequiredService<ActorSystem>();

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
        var state = new RankState(pages);
        var lifetime = new Lifetime();
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddSingleton<IHostApplicationLifetime>(lifetime);
        services.AddAkka(KvcachedNames.ActorSystem, builder => builder
            .ConfigureLoggers(loggers => loggers.ClearLoggers())
            .AddHocon(around.Hocon, HoconAddMode.Prepend)
            .AddKvcached(change(new RankHostOptions { Domain = "test", ExpectedHosts = 2, Port = 0, RunDirectory = string.Empty }), state));
        var host = new InProcessHost(services.BuildServiceProvider(), lifetime, memory, state, descriptors);
        foreach (var service in host._services.GetServices<IHostedService>())
        {
            await service.StartAsync(CancellationToken.None);
        }

        return host;
    }

    /// <summary>Returns when the domain's coordinator knows so many hosts, and what they hold.</summary>
    public async Task WaitForHostsAsync(int count, CancellationToken cancellation)
    {
        var coordinator = ActorRegistry.For(System).Get<CoordinatorProxy>();
        for (var known = 0; known < count; await Task.Delay(20, cancellation))
        {
            var domain = await coordinator.Ask<DomainProtocol.DomainDescription>(DomainProtocol.DescribeDomain.Instance, TimeSpan.FromSeconds(60), cancellation);
            known = domain.Gpus.Count(g => g.IsAvailable);
        }
    }

    /// <summary>Leaves the cluster and ends; a second time does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_lifetime.ApplicationStopping.IsCancellationRequested)
        {
            return;
        }

        _lifetime.StopApplication();
        foreach (var service in _services.GetServices<IHostedService>().Reverse())
        {
            await service.StopAsync(CancellationToken.None);
        }

        await _services.DisposeAsync();
        Pages.Dispose();
        Memory.Dispose();
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
