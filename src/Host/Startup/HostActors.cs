using Akka.Configuration;
using Akka.Hosting;
using Akka.Management;
using Kvcached.Actors.Hosting;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Options;

namespace Kvcached.Host.Startup;

/// <summary>The host's actor system.</summary>
internal static class HostActors
{
    // Before its loggers run and after they have stopped, Akka logs to stdout, where only the line of a host that is ready belongs.
    private static readonly Config NothingOnStdout = "akka.stdout-loglevel = OFF";

    public static void AddHostActors(this IServiceCollection services, KvcachedHostOptions options, Config userConfig, PagePool pool) =>
        services.AddAkka(KvcachedNames.ActorSystem, builder =>
        {
            builder
                .ConfigureLoggers(loggers =>
                {
                    loggers.ClearLoggers();
                    loggers.AddLoggerFactory();
                })
                .AddHocon(NothingOnStdout, HoconAddMode.Append)
                .AddKvcached(options.Ranks, pool);
            if (options.AkkaManagementPort is not null)
            {
                // Only its extension; AkkaManagementListener says why it isn't started here.
                builder.WithAkkaManagement(management => management.RouteProvidersReadOnly = true);
            }

            if (!userConfig.IsEmpty)
            {
                builder.AddHocon(userConfig, HoconAddMode.Prepend);
            }
        });
}
