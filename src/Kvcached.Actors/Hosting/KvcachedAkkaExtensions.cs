using Akka.Cluster.Hosting;
using Akka.Event;
using Akka.Hosting;
using Akka.Remote.Hosting;
using Akka.Remote.Transport.DotNetty;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Sharing;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Hosting;

/// <summary>Puts a host's actors together. Reads as their table of contents.</summary>
public static class KvcachedAkkaExtensions
{
    /// <summary>
    /// Adds everything that one host runs: remoting, cluster, serializers, the domain's coordinator (on one host of the domain), this rank's
    /// supervisor with its page mapper, the engine gateway and the data checker.
    /// </summary>
    /// <param name="builder">Builder of a system named <see cref="KvcachedNames.ActorSystem"/>.</param>
    /// <param name="options">Checked options.</param>
    /// <param name="pages">The rank's memory; it outlives the actor system.</param>
    public static AkkaConfigurationBuilder AddKvcached(this AkkaConfigurationBuilder builder, RankHostOptions options, PagePool pages) =>
        builder.AddKvcached(options, new RankState(pages));

    /// <inheritdoc cref="AddKvcached(AkkaConfigurationBuilder, RankHostOptions, PagePool)"/>
    /// <param name="builder">Builder of a system named <see cref="KvcachedNames.ActorSystem"/>.</param>
    /// <param name="options">Checked options.</param>
    /// <param name="state">
    /// The rank's memory and what is known of it; it outlives the actor system. A gateway tells of engine workers by its <see cref="RankState.Workers"/>.
    /// </param>
    public static AkkaConfigurationBuilder AddKvcached(this AkkaConfigurationBuilder builder, RankHostOptions options, RankState state)
    {
        ArgumentNullException.ThrowIfNull(options);
        return builder
            .AddHocon(KvcachedHocon.LoadDefaults(), HoconAddMode.Append)
            .AddKvcachedCluster(options)
            .AddPoolCoordinator(options)
            .AddRank(options, state);
    }

    private static AkkaConfigurationBuilder AddTls(this AkkaConfigurationBuilder builder, RemotingTls? tls) => tls is null ? builder : builder
        .AddHocon("akka.remote.dot-netty.tcp.enable-ssl = true", HoconAddMode.Prepend)
        .AddSetup(new DotNettySslSetup(
            tls.Certificate, suppressValidation: false, requireMutualAuthentication: true,
            customValidator: (certificate, _, peer, _, log) =>
            {
                var fault = tls.FindFault(certificate);
                if (fault is not null)
                {
                    log.Warning("{Peer} was refused: its certificate isn't one of the domain's authority: {Fault}", peer, fault);
                }

                return fault is null;
            }));

    private static AkkaConfigurationBuilder AddKvcachedCluster(this AkkaConfigurationBuilder builder, RankHostOptions options) => builder
        .AddTls(options.Tls)
        .AddHocon(
            $$"""
            akka.cluster {
              split-brain-resolver.lease-majority.lease-name = "kvcached-{{options.Domain}}"
              file-lease.directory = "{{options.RunDirectory}}"
            }
            """,
            HoconAddMode.Prepend)
        .WithRemoting(new RemoteOptions
        {
            HostName = options.BindAddress,
            Port = options.Port,
        })
        .WithClustering(new ClusterOptions
        {
            Roles = [KvcachedNames.RoleOf(options.Domain)],
            SeedNodes = [.. options.SeedHosts.Select(host => $"{(options.Tls is null ? "akka.tcp" : "akka.ssl.tcp")}://{KvcachedNames.ActorSystem}@{host}")],
        })
        .AddStartup((system, _) =>
        {
            // The first host of a domain joins itself: with a port that the system chose, only now is its address known.
            if (options.SeedHosts.Count == 0)
            {
                var cluster = Akka.Cluster.Cluster.Get(system);
                cluster.Join(cluster.SelfAddress);
            }
        });

    private static AkkaConfigurationBuilder AddPoolCoordinator(this AkkaConfigurationBuilder builder, RankHostOptions options) => builder
        .WithSingleton<CoordinatorProxy>(
            KvcachedNames.Coordinator,
            (_, _, _) => PoolCoordinator.Props(
                new CoordinatorSettings
                {
                    Domain = options.Domain,
                    ExpectedHosts = options.ExpectedHosts,
                    MayUseLanes = options.UsesLocalLanes,
                    DecisionDeadline = options.DecisionDeadline,
                    SessionLease = options.SessionLease,
                    RevokeDeadline = options.RevokeDeadline,
                    ShrinkDeadline = options.ShrinkDeadline,
                    ShrinkPause = options.ShrinkPause,
                    SharingPolicy = SharingPolicies.TryFind(options.SharingPolicy, out var policy)
                        ? policy
                        : throw new ArgumentException($"There is no sharing policy '{options.SharingPolicy}'.", nameof(options)),
                    ReturnDeadline = options.ReturnDeadline,
                    RecoveryDeadline = options.RecoveryDeadline,
                    ReopenWindow = options.ReopenWindow,
                    ReattachWindow = options.ReattachWindow,
                    HostReturnWindow = options.HostReturnWindow,
                    QuiesceWindow = options.QuiesceWindow,
                    ExtentShareDivisor = Math.Max(1, (int)Math.Round(1 / options.MaxExtentShare)),
                    MaxWaitingRequestsPerPool = options.MaxWaitingRequestsPerPool,
                },
                new EpochStore(options.RunDirectory, options.Domain),
                TimeProvider.System).WithDispatcher(KvcachedHocon.CoordinatorDispatcher),
            new ClusterSingletonOptions { Role = KvcachedNames.RoleOf(options.Domain) },
            createProxyToo: true);

    private static AkkaConfigurationBuilder AddRank(this AkkaConfigurationBuilder builder, RankHostOptions options, RankState state) => builder
        .WithActors((system, registry) =>
        {
            var coordinator = registry.Get<CoordinatorProxy>();
            var holdings = new CopierHoldings();
            var checker = system.ActorOf(
                DataChecker.Props(state.Pages, holdings, CopierOptionsOf(options, state.Pages)).WithDispatcher(KvcachedHocon.DataCheckDispatcher),
                KvcachedNames.DataChecker);
            var supervisor = system.ActorOf(
                RankSupervisor.Props(new RankSupervisorSettings
                {
                    State = state,
                    Holdings = holdings,
                    Coordinator = coordinator,
                    DataChecker = checker,
                    Domain = options.Domain,
                    DeviceName = options.DeviceName,
                    MapperDispatcher = KvcachedHocon.GpuPinnedDispatcher,
                    RegisterInterval = options.RegisterInterval,
                    HousekeepingInterval = options.HousekeepingInterval,
                    WorkerDeadline = options.WorkerDeadline,
                    DeviceWatch = options.DeviceWatch,
                    LaneDirectory = options.UsesLocalLanes ? options.RunDirectory : null,
                }),
                KvcachedNames.RankSupervisor);
            if (options.IsCrashSignalHeard)
            {
                CrashSignal.Hear(system, supervisor);
            }

            system.ActorOf(EngineGateway.Props(coordinator), KvcachedNames.EngineGateway);
        });

    private static CopierClientOptions CopierOptionsOf(RankHostOptions options, PagePool pages) => new()
    {
        Backend = pages.Backend == "cuda" ? CopierBackend.Cuda : CopierBackend.Host,
        Gpu = pages.Gpu,
        ProgramPath = options.CopierPath,
        CallTimeout = options.CopierCallTimeout,
    };
}
