using System.Net;
using Akka.Actor;
using Akka.Configuration;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Host.Gateway;
using Kvcached.Host.Management;
using Kvcached.Host.Options;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Logging.Console;

namespace Kvcached.Host.Startup;

/// <summary>How one life of a host's actors ended.</summary>
internal enum HostLifeEnd
{
    /// <summary>As asked.</summary>
    Stopped,

    /// <summary>They could not be started; why is said beside it.</summary>
    NotStarted,

    /// <summary>No cluster took the host in within its time.</summary>
    NotJoined,

    /// <summary>The cluster has removed the host.</summary>
    Removed,

    /// <summary>Its actors did not end in time, so that no others may begin: something in the driver hangs.</summary>
    Stuck,
}

/// <summary>
/// One life of the actors and the management HTTP of a host: built together, started and stopped in order. What must outlive them is in <see cref="LastingParts"/>.
/// </summary>
internal sealed partial class HostServer : IAsyncDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    private readonly WebApplication _app;
    private readonly KvcachedHostOptions _options;
    private readonly LastingParts _lasting;
    private readonly ILogger _log;
    private AkkaManagementListener? _akkaManagement;

    private HostServer(WebApplication app, KvcachedHostOptions options, LastingParts lasting)
    {
        _log = app.Services.GetRequiredService<ILogger<HostServer>>();
        _app = app;
        _options = options;
        _lasting = lasting;
    }

    /// <summary>Why it didn't start, when it didn't.</summary>
    public StartFailure? Failure { get; private set; }

    /// <summary>The ports that it got, to be had again by the next life; known once it is up.</summary>
    public HostPorts? Ports { get; private set; }

    public static HostServer Create(KvcachedHostOptions options, Config userConfig, LastingParts lasting)
    {
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
            ManagementSetup.Bound(kestrel.Limits);
            kestrel.Listen(ManagementAddress(options), options.ManagementPort);
        });
        builder.Services.AddHostActors(options, userConfig, lasting.Rank);
        builder.Services.AddManagement(options, lasting.Rank.Pages, lasting.Token);

        var app = builder.Build();
        app.UseManagement(options);
        return new HostServer(app, options, lasting);
    }

    /// <summary>Starts, says that it is ready when it is the host's first life, and serves until told to stop or removed.</summary>
    /// <param name="stopping">Ends it.</param>
    public async Task<HostLifeEnd> RunAsync(CancellationToken stopping)
    {
        using var whenStopping = stopping.Register(_app.Lifetime.StopApplication);
        var started = await StartAsync();
        if (started.IsFailed(out var failure, out var system))
        {
            _ = await TryStopAsync(null);
            Failure = failure;
            return failure.ExitCode == HostExitCode.Stopped ? HostLifeEnd.Stopped : HostLifeEnd.NotStarted;
        }

        var ending = _app.Lifetime.ApplicationStopping;
        var joined = await ClusterJoin.WaitUntilUpAsync(system, _options.JoinTimeout, ending);
        if (joined == ClusterJoinOutcome.Up)
        {
            Ports = new HostPorts(Akka.Cluster.Cluster.Get(system).SelfAddress.Port ?? 0, ManagementPort(), _akkaManagement?.Port);
            _lasting.SayReady(_options.Ranks.Domain, Ports);
            await Task.WhenAny(system.WhenTerminated, Task.Delay(Timeout.Infinite, ending));
        }

        var isRemoved = system.WhenTerminated.IsCompleted;
        if (!await TryStopAsync(system))
        {
            return HostLifeEnd.Stuck;
        }

        // A host that none may talk to, since its certificate isn't of their authority, is ended by Akka.Remote before it has joined.
        var isTurnedAway = _options.Tls is not null && joined != ClusterJoinOutcome.Up && isRemoved && !stopping.IsCancellationRequested;
        return joined == ClusterJoinOutcome.TimedOut || isTurnedAway ? HostLifeEnd.NotJoined : isRemoved && !stopping.IsCancellationRequested ? HostLifeEnd.Removed : HostLifeEnd.Stopped;
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

            if (_lasting.Token.Write(_options.Ranks.RunDirectory, ManagementPort()) is { } unwritten)
            {
                return unwritten;
            }

            var coordinator = ActorRegistry.For(system).Get<CoordinatorProxy>();
            return _lasting.Serve(_options, system, coordinator, _app.Services.GetRequiredService<ILogger<SocketGateway>>()) is { } refused
                ? refused
                : new StartResult<ActorSystem>(system, null);
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

    private int ManagementPort() =>
        new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Port;

    private async Task<bool> TryStopAsync(ActorSystem? system)
    {
        _lasting.Pause();
        _akkaManagement?.Dispose();
        using var timeout = new CancellationTokenSource(StopTimeout);
        await _app.StopAsync(timeout.Token);

        // Nothing of it may touch the rank any more when the next one begins.
        var ended = system?.WhenTerminated ?? Task.CompletedTask;
        return await Task.WhenAny(ended, Task.Delay(StopTimeout, CancellationToken.None)) == ended;
    }

    // Management has no transport security, so that it never leaves loopback, whatever Akka.Remote binds.
    private static IPAddress ManagementAddress(KvcachedHostOptions options) =>
        IPAddress.TryParse(options.Ranks.BindAddress, out var address) && IPAddress.IsLoopback(address) ? address : IPAddress.Loopback;

    [LoggerMessage(EventIds.StartFailed, LogLevel.Critical, "The actors or the management HTTP did not start")]
    private static partial void LogStartFailed(ILogger log, Exception exception);
}
