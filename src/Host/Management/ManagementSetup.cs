using Akka.Actor;
using Akka.Hosting;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Options;

namespace Kvcached.Host.Management;

/// <summary>The management HTTP as a table of contents. Everything in it only reads.</summary>
internal static class ManagementSetup
{
    public static void AddManagement(this IServiceCollection services, KvcachedHostOptions options, PagePool pool)
    {
        services.AddRoutingCore();
        services.AddSingleton(options.Ranks);
        services.AddSingleton(new LocalGpuReader(pool));
        services.AddSingleton(provider => new ClusterReader(provider.GetRequiredService<ActorSystem>(), options.Ranks.Domain));
        services.AddSingleton(provider => new DomainReader(provider.GetRequiredService<ActorRegistry>(), options));
    }

    public static void UseManagement(this WebApplication app, KvcachedHostOptions options)
    {
        app.UseMiddleware<FaultGuard>();
        app.UseMiddleware<LoopbackHostFilter>(options.Ranks.BindAddress);
        app.UseRouting();
        app.MapHealthEndpoints();
        app.MapClusterEndpoints();
        app.MapPoolEndpoints();
        app.MapGpuEndpoints();
        app.MapGet("/{**path}", (HttpContext context) => ProblemMapping.RouteNotFound(context.Request.Path));
    }
}
