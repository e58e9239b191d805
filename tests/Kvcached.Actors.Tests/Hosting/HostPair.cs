using Akka.Actor;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Gpu.Faults;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>Two hosts of one domain, each with an actor system of its own, over real sockets.</summary>
public sealed class HostPair : IAsyncLifetime
{
    // Generous, since it only bounds a test that hangs.
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-hosts-").FullName;
    private readonly InProcessHost[] _hosts = new InProcessHost[2];
    private IEngineClient? _engine;

    /// <summary>Whether the coordinator reaches the other host by a lane, or by Akka.Remote.</summary>
    public bool UsesLocalLanes { get; init; } = true;

    internal InProcessHost this[int index] => _hosts[index];

    public async Task InitializeAsync()
    {
        for (var gpu = 0; gpu < 2; gpu++)
        {
            string[] seeds = gpu == 0 ? [] : [_hosts[0].Address];
            _hosts[gpu] = await InProcessHost.StartAsync(gpu, new InProcessHostOptions(), options => options with
            {
                RunDirectory = _directory, SeedHosts = seeds, UsesLocalLanes = UsesLocalLanes, HousekeepingInterval = TimeSpan.FromMilliseconds(100),

                // None of these is to decide anything, however busy the machine is.
                SessionLease = TimeSpan.FromMinutes(10), DecisionDeadline = TimeSpan.FromSeconds(30), WorkerDeadline = TimeSpan.FromSeconds(20),
            });
        }

        using var timeout = new CancellationTokenSource(Patience);
        await _hosts[1].WaitForHostsAsync(2, timeout.Token);
    }

    public async Task DisposeAsync()
    {
        await (_engine?.DisposeAsync() ?? ValueTask.CompletedTask);
        await _hosts[1].DisposeAsync();
        await _hosts[0].DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    public static EngineClientOptions Options(string name, params string[] hosts) => new() { EngineName = name, Domain = "test", Hosts = [.. hosts] };

    /// <summary>The engine of all tests that need only one.</summary>
    internal async Task<IEngineClient> ConnectAsync() =>
        _engine ??= await EngineClient.ConnectAsync(Options("engine", _hosts[1].Address, _hosts[0].Address), CancellationToken.None);

    /// <summary>What the coordinator says of the domain, as the second host hears it.</summary>
    internal Task<DomainProtocol.DomainDescription> DescribeAsync(CancellationToken cancellation) =>
        ActorRegistry.For(_hosts[1].System).Get<CoordinatorProxy>()
            .Ask<DomainProtocol.DomainDescription>(DomainProtocol.DescribeDomain.Instance, Patience, cancellation);

    /// <summary>Neither host holds anything.</summary>
    public void AssertEmpty()
    {
        foreach (var host in _hosts)
        {
            var snapshot = host.Pages.Snapshot();
            Assert.Empty(snapshot.Pools);
            Assert.Equal(0, snapshot.HeldBytes);
            Assert.Equal(snapshot.CapacityBytes, snapshot.FreeBytes);
            Assert.Equal(new LiveCounts(0, 0, 0, 0), host.Memory.Live);
            Assert.Equal(0, host.Descriptors.UsedCount);
        }
    }
}
