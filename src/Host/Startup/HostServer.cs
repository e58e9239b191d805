using System.Net;
using Akka.Actor;
using Akka.Configuration;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Gateway;
using Kvcached.Host.Management;
using Kvcached.Host.Options;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Logging.Console;

namespace Kvcached.Host.Startup;

/// <summary>The actors, the engine gateway and the management HTTP of one host: built together, started and stopped in order.</summary>
internal sealed partial class HostServer : IAsyncDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    private readonly WebApplication _app;
    private readonly KvcachedHostOptions _options;
    private readonly RankState _rank;
    private readonly ILogger _log;
    private AkkaManagementListener? _akkaManagement;
    private SocketGateway? _gateway;

    private HostServer(WebApplication app, KvcachedHostOptions options, RankState rank)
    {
        _log = app.Services.GetRequiredService<ILogger<HostServer>>();
        _app = app;
        _options = options;
        _rank = rank;
    }

    public static HostServer Create(KvcachedHostOptions options, Config userConfig, PagePool pool)
    {
        var rank = new RankState(pool);
        // Empty, so that no other source than ours sets addresses, and no file is watched.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddJsonFile("appsettings.json", optional: true, reloadOnChange: false);
        builder.Logging.AddConfiguration(builder.Configuration.GetSection("Logging")).AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.Configure<ConsoleLifetimeOptions>(lifetime => lifetime.SuppressStatusMessages = true);
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(host => host.ShutdownTimeout = StopTimeout);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(ManagementAddress(options), options.ManagementPort);
        });
        builder.Services.AddHostActors(options, userConfig, rank);
        builder.Services.AddManagement(options, pool);

        var app = builder.Build();
        app.UseManagement(options);
        return new HostServer(app, options, rank);
    }

    /// <summary>Starts, says that it is ready, and serves until told to stop.</summary>
    public async Task<HostExitCode> RunAsync()
    {
        var started = await StartAsync();
        if (started.IsFailed(out var failure, out var system))
        {
            await StopAsync();
            HostProcess.Complain(failure.Message);
            return failure.ExitCode;
        }

        var stopping = _app.Lifetime.ApplicationStopping;
        var joined = await ClusterJoin.WaitUntilUpAsync(system, _options.JoinTimeout, stopping);
        if (joined == ClusterJoinOutcome.Up)
        {
            await ServeAsync(system, stopping);
        }

        var isRemoved = system.WhenTerminated.IsCompleted;
        await StopAsync();
        if (joined == ClusterJoinOutcome.TimedOut)
        {
            HostProcess.Complain(
                $"{HostSettingCatalog.JoinTimeout}: the cluster was not joined within {DurationText.Format(_options.JoinTimeout)}; see that a host "
                + $"of domain '{_options.Ranks.Domain}' listens at {string.Join(" or ", _options.Ranks.SeedHosts)}.");
            return HostExitCode.NotJoined;
        }

        if (isRemoved)
        {
            HostProcess.Complain("the cluster removed this host, because others could not reach it for too long; start it again.");
            return HostExitCode.RemovedFromCluster;
        }

        return HostExitCode.Stopped;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task<StartResult<ActorSystem>> StartAsync()
    {
        try
        {
            // Made here, not by the hosted service, which would only log what went wrong.
            var system = _app.Services.GetRequiredService<ActorSystem>();
            await _app.StartAsync();
            if (_options.AkkaManagementPort is { } port
                && AkkaManagementListener.Start(system, port).IsFailed(out var conflict, out _akkaManagement))
            {
                return conflict;
            }

            return StartGateway(system) is { } refused ? refused : new StartResult<ActorSystem>(system, null);
        }
        catch (OperationCanceledException) when (_app.Lifetime.ApplicationStopping.IsCancellationRequested)
        {
            return new StartFailure(HostExitCode.Stopped, "told to stop before it was ready.");
        }
        catch (Exception exception)
        {
            if (PortConflict.Explain(exception, _options) is { } failure)
            {
                return failure;
            }

            LogStartFailed(_log, exception);
            return new StartFailure(HostExitCode.Failed, $"can't start: {exception.GetBaseException().Message.ReplaceLineEndings(" ")}");
        }
    }

    private async Task ServeAsync(ActorSystem system, CancellationToken stopping)
    {
        Console.Out.WriteLine(ReadyLine.Write(new ReadyEvent(
            ReadyLine.EventName, _rank.Pages.Gpu.Value, _options.Ranks.Domain, Akka.Cluster.Cluster.Get(system).SelfAddress.Port ?? 0,
            ManagementPort(), _akkaManagement?.Port, Environment.ProcessId, _rank.Pages.Backend, _rank.Pages.CapacityBytes,
            _gateway!.Path)));
        await Task.WhenAny(system.WhenTerminated, Task.Delay(Timeout.Infinite, stopping));
    }

    private StartFailure? StartGateway(ActorSystem system)
    {
        var (pages, ranks) = (_rank.Pages, _options.Ranks);
        var path = _options.Gateway.SocketPath ?? GatewaySocket.DefaultPath(ranks.RunDirectory, pages.Gpu, ranks.Domain, new KvcachedHostOptions().Ranks.Domain);
        if (GatewaySocket.Open(path, _options.Gateway).IsFailed(out var failure, out var socket))
        {
            return failure;
        }

        _gateway = new SocketGateway(
            socket, _options.Gateway,
            new SocketProtocol.Welcome(
                SocketLimits.ProtocolVersion, pages.Incarnation, pages.Gpu, ranks.Domain, pages.Backend, pages.GranularityBytes, $"kvcached-host {HelpText.Version}"),
            _rank.Workers, new AkkaSessions(system, ActorRegistry.For(system).Get<CoordinatorProxy>()), ranks.ReopenWindow, TimeProvider.System,
            _app.Services.GetRequiredService<ILogger<SocketGateway>>(), tagDirectory: TagPlaces.DirectoryOf(ranks.RunDirectory, ranks.Domain));
        return null;
    }

    private int ManagementPort() =>
        new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Port;

    private async Task StopAsync()
    {
        _gateway?.Dispose();
        _akkaManagement?.Dispose();
        using var timeout = new CancellationTokenSource(StopTimeout);
        await _app.StopAsync(timeout.Token);
    }

    // Management has no transport security, so that it never leaves loopback, whatever Akka.Remote binds.
    private static IPAddress ManagementAddress(KvcachedHostOptions options) =>
        IPAddress.TryParse(options.Ranks.BindAddress, out var address) && IPAddress.IsLoopback(address) ? address : IPAddress.Loopback;

    [LoggerMessage(EventIds.StartFailed, LogLevel.Critical, "The actors or the management HTTP did not start")]
    private static partial void LogStartFailed(ILogger log, Exception exception);
}
