using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster;
using Akka.Hosting;
using Akka.Remote;
using Akka.Remote.Transport;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Workers;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>Four hosts whose connections can be cut without a word, as a network does that loses everything, and an engine's workers on them.</summary>
internal sealed class HostGroup : IAsyncDisposable
{
    // Generous, since it only bounds a test that hangs.
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-hosts-").FullName;
    private readonly Dictionary<int, Address> _addresses = [];
    private ImmutableArray<string> _seeds = [];

    private HostGroup()
    {
    }

    public List<InProcessHost> Hosts { get; } = [];

    public static async Task<HostGroup> StartAsync(int count, string strategy, CancellationToken cancellation)
    {
        var group = new HostGroup();
        for (var gpu = 0; gpu < count; gpu++)
        {
            group.Hosts.Add(await InProcessHost.StartAsync(gpu, group.Around(strategy), group.Told));
            _ = group.AddressOf(gpu);
            group._seeds = [group.AddressOf(0)];
        }

        await group.Hosts[^1].WaitForHostsAsync(count, cancellation);
        return group;
    }

    /// <summary>A worker of each rank of a pool over all hosts.</summary>
    public ImmutableArray<FakeWorker> AttachWorkers(string pool)
    {
        ImmutableArray<FakeWorker> workers = [.. Hosts.Select(host => new FakeWorker(host.State.Workers, 1) { AnswersAtOnce = true })];
        for (var rank = 0; rank < workers.Length; rank++)
        {
            var gpu = TestPools.Gpu(rank);
            workers[rank].Attach(pool, rank, request => request with { Device = gpu });
        }

        return workers;
    }

    /// <summary>Nothing passes between one side and the other any more, either way; or everything does again.</summary>
    public async Task SetCutAsync(ImmutableArray<int> side, bool isCut)
    {
        foreach (var from in Enumerable.Range(0, Hosts.Count).Where(host => !Hosts[host].System.WhenTerminated.IsCompleted))
        {
            foreach (var to in Enumerable.Range(0, Hosts.Count).Where(to => side.Contains(from) != side.Contains(to)))
            {
                ThrottleMode mode = isCut ? Blackhole.Instance : Unthrottled.Instance;
                Assert.True(await ((IRemoteActorRefProvider)((ExtendedActorSystem)Hosts[from].System).Provider).Transport.ManagementCommand(
                    new SetThrottle(_addresses[to], ThrottleTransportAdapter.Direction.Both, mode)));
            }
        }
    }

    /// <summary>Hosts whose own actor system has the coordinator just now.</summary>
    public async Task<ImmutableArray<int>> FindCoordinatorsAsync()
    {
        var found = ImmutableArray.CreateBuilder<int>();
        for (var host = 0; host < Hosts.Count; host++)
        {
            var system = Hosts[host].System;
            if (!system.WhenTerminated.IsCompleted)
            {
                try
                {
                    await system.ActorSelection($"/user/{KvcachedNames.Coordinator}/{KvcachedNames.Coordinator}").ResolveOne(TimeSpan.FromSeconds(1));
                    found.Add(host);
                }
                catch (ActorNotFoundException)
                {
                    // It isn't here.
                }
            }
        }

        return found.ToImmutable();
    }

    /// <summary>Hosts whose actors have ended begin anew, and join one that lives.</summary>
    public async Task RestartAsync(IEnumerable<int> hosts, int living)
    {
        _seeds = [AddressOf(living)];
        foreach (var host in hosts)
        {
            await Hosts[host].System.WhenTerminated;
            await Hosts[host].RestartActorsAsync(Told);
            _ = AddressOf(host);
        }
    }

    public Task<DomainProtocol.DomainDescription> DescribeAsync(int host, CancellationToken cancellation) =>
        ActorRegistry.For(Hosts[host].System).Get<CoordinatorProxy>().Ask<DomainProtocol.DomainDescription>(DomainProtocol.DescribeDomain.Instance, Patience, cancellation);

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Enumerable.Reverse(Hosts))
        {
            await host.DisposeAsync();
        }

        Directory.Delete(_directory, recursive: true);
    }

    private string AddressOf(int host)
    {
        _addresses[host] = Cluster.Get(Hosts[host].System).SelfAddress;
        return _addresses[host].ToString();
    }

    private InProcessHostOptions Around(string strategy) => new()
    {
        Hocon = string.Empty,

        // The layer that can be cut changes the addresses' scheme, of which hosts know nothing.
        LastHocon = () => $$"""
            akka.remote.dot-netty.tcp.applied-adapters = ["trttl"]
            akka.cluster.seed-nodes = [{{string.Join(", ", _seeds.Select(seed => $"\"{seed}\""))}}]
            akka.cluster.failure-detector.acceptable-heartbeat-pause = 10 s
            akka.cluster.split-brain-resolver.active-strategy = {{strategy}}
            akka.cluster.split-brain-resolver.stable-after = 2 s
            """,
    };

    // Without lanes, which are those of one machine: what is cut here is a network.
    private RankHostOptions Told(RankHostOptions options) => options with
    {
        ExpectedHosts = 4, RunDirectory = _directory, UsesLocalLanes = false, HousekeepingInterval = TimeSpan.FromMilliseconds(100), SessionLease = TimeSpan.FromMinutes(10),
        HostReturnWindow = TimeSpan.FromMinutes(10), ReattachWindow = TimeSpan.FromMinutes(10),
        SeedHosts = [.. _seeds.Select(seed => seed[(seed.LastIndexOf('@') + 1)..])],
    };
}
