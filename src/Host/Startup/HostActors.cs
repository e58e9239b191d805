using Akka.Configuration;
using Akka.Hosting;
using Akka.Management;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Ranks;
using Kvcached.Host.Options;

namespace Kvcached.Host.Startup;

/// <summary>The host's actor system.</summary>
internal static class HostActors
{
    private static readonly Config NothingOnStdout =
        $"akka.stdout-logger-class = \"{typeof(StderrLogger).FullName}, {typeof(StderrLogger).Assembly.GetName().Name}\"";

    public static void AddHostActors(this IServiceCollection services, KvcachedHostOptions options, Config userConfig, RankState rank) =>
        services.AddAkka(KvcachedNames.ActorSystem, builder =>
        {
            builder
                .ConfigureLoggers(loggers =>
                {
                    loggers.ClearLoggers();
                    loggers.AddLoggerFactory();
                })
                .AddKvcached(options.Ranks, rank)
                .AddHocon(NothingOnStdout, HoconAddMode.Prepend);
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
