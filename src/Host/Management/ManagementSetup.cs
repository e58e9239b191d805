using Akka.Actor;
using Akka.Hosting;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Dashboard;
using Kvcached.Host.Metrics;
using Kvcached.Host.Options;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Kvcached.Host.Management;

/// <summary>The management HTTP as a table of contents. What changes something needs the token.</summary>
internal static class ManagementSetup
{
    public static void AddManagement(this IServiceCollection services, KvcachedHostOptions options, PagePool pool, ManagementToken token)
    {
        services.AddRoutingCore();
        services.AddSingleton(options.Ranks);
        services.AddSingleton(token);
        services.AddSingleton(TimeProvider.System);
        services.AddManagementDocument();
        services.AddHostMetrics(options, pool.Gpu);
        services.AddHostTraces(options);
        services.AddSingleton(new LocalGpuReader(pool));
        services.AddSingleton(provider => new ClusterReader(provider.GetRequiredService<ActorSystem>(), options.Ranks.Domain));
        services.AddSingleton(provider => new DomainReader(provider.GetRequiredService<ActorRegistry>(), options));
        services.AddSingleton(provider => new CoordinatorDesk(provider.GetRequiredService<ActorRegistry>(), options));
        services.AddSingleton<ClusterChanges>();
        services.AddSingleton<ClusterFeed>();
        services.AddSingleton<DomainFeed>();
        services.AddSingleton<DashboardFeed>();
    }

    /// <summary>No caller can hold much of the host, or for long.</summary>
    public static void Bound(KestrelServerLimits limits)
    {
        limits.MaxRequestBodySize = 64 << 10;
        limits.MaxRequestHeadersTotalSize = 16 << 10;
        limits.MaxRequestHeaderCount = 64;
        limits.MaxConcurrentConnections = 1024;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
        limits.KeepAliveTimeout = TimeSpan.FromMinutes(1);
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
    }

    public static void UseManagement(this WebApplication app, KvcachedHostOptions options)
    {
        app.UseMiddleware<FaultGuard>();
        app.UseMiddleware<LoopbackHostFilter>(options.Ranks.BindAddress);
        app.UseMiddleware<ChangeGuard>();
        app.UseHostMetrics();
        app.UseRouting();
        app.MapHealthEndpoints();
        app.MapClusterEndpoints();
        app.MapPoolEndpoints();
        app.MapLimitEndpoints();
        app.MapGpuEndpoints();
        app.MapEventEndpoints();
        app.MapManagementDocument();
        app.MapDashboard();
        app.MapGet("/{**path}", (HttpContext context) => ProblemMapping.RouteNotFound(context.Request.Path));
    }
}
