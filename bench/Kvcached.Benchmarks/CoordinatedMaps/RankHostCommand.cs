using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Akka.Actor;
using Akka.Cluster;
using Akka.Hosting;
using Kvcached.Actors.Hosting;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Ids;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Pools;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>
/// One host of the benchmark: the actors of a real one over host memory, with an echo beside them. Takes orders on its standard input and
/// ends with it.
/// </summary>
internal static class RankHostCommand
{
    public const long CapacityBytes = 64L << 30;

    public static async Task<int> RunAsync(string[] args)
    {
        var arguments = Arguments.Parse(args, string.Empty)!;
        var gpu = GpuId.Parse($"HOST-{arguments.Text("--index", "0")}");
        var seed = arguments.Text("--seed", string.Empty);
        StepRecorder.RankCount = arguments.Number("--hosts", 4, 1, 64);
        var keepsHandles = arguments.Text("--kept", "on") == "on";
        var echo = arguments.Text("--echo", "default");
        var spin = arguments.Text("--spin", string.Empty);
        var link = arguments.Text("--link", "local");
        var options = new RankHostOptions
        {
            Domain = "bench",
            ExpectedHosts = StepRecorder.RankCount,
            Port = 0,
            SeedHosts = seed.Length == 0 ? [] : [seed],
            RunDirectory = arguments.Text("--run-dir", string.Empty),
            UsesLocalLanes = link == "local",
        };
        arguments.RequireAllRead();

        // Lines for the parent only; what Akka says goes elsewhere.
        var toParent = Console.Out;
        Console.SetOut(Console.Error);
        using var memory = new HostVirtualMemory(new HostVirtualMemoryOptions { Gpu = gpu, CapacityBytes = CapacityBytes });
        using var pages = new PagePool(
            memory, new PagePoolOptions { CapacityBytes = CapacityBytes, MaxKeptBytesPerPool = keepsHandles ? long.MaxValue : 0 }, TimeProvider.System);
        await using var services = new ServiceCollection()
            .AddSingleton(typeof(ILogger<>), typeof(NullLogger<>))
            .AddSingleton<IHostApplicationLifetime, Lifetime>()
            .AddAkka(KvcachedNames.ActorSystem, builder => builder
                .AddHocon("akka.loglevel = WARNING, akka.stdout-loglevel = WARNING", HoconAddMode.Prepend)
                .AddHocon(ObservedMailbox.Hocon, HoconAddMode.Prepend)
                .AddHocon(spin.Length == 0 ? string.Empty : $"{KvcachedHocon.GpuPinnedDispatcher}.spin = {spin}", HoconAddMode.Prepend)
                .AddKvcached(options, pages))
            .BuildServiceProvider();
        var actors = services.GetServices<IHostedService>().ToArray();
        foreach (var service in actors)
        {
            await service.StartAsync(CancellationToken.None);
        }

        var system = services.GetRequiredService<ActorSystem>();
        await WaitUntilUpAsync(system);
        var echoProps = Echo.Props(gpu, pages.Incarnation);
        system.ActorOf(echo == "pinned" ? echoProps.WithDispatcher(KvcachedHocon.GpuPinnedDispatcher) : echoProps, Echo.Name);
        toParent.WriteLine(Cluster.Get(system).SelfAddress.Port!.Value.ToString(CultureInfo.InvariantCulture));
        await ServeAsync(system, toParent);
        foreach (var service in actors)
        {
            await service.StopAsync(CancellationToken.None);
        }

        return 0;
    }

    private static async Task ServeAsync(ActorSystem system, TextWriter toParent)
    {
        var recording = new BareBroadcast.Recording();
        while (await Console.In.ReadLineAsync() is { } order)
        {
            var words = order.Split(' ');
            if (words[0] == RankHostProcess.ReportOrder)
            {
                var report = StepRecorder.Read() with { BareMicroseconds = [.. recording.Asked], RepeatedBareMicroseconds = [.. recording.Repeated], ProcessorSeconds = Environment.CpuUsage.TotalTime.TotalSeconds };
                recording.Asked.Clear();
                recording.Repeated.Clear();
                toParent.WriteLine(JsonSerializer.Serialize(report));
            }
            else
            {
                var echoes = ImmutableArray.CreateBuilder<IActorRef>();
                foreach (var host in words[1..])
                {
                    echoes.Add(await system.ActorSelection($"akka.tcp://{KvcachedNames.ActorSystem}@{host}/user/{Echo.Name}").ResolveOne(TimeSpan.FromSeconds(20)));
                }

                system.ActorOf(BareBroadcast.Props(echoes.ToImmutable(), recording), BareBroadcast.Name);
                toParent.WriteLine("ready");
            }
        }
    }

    private static Task WaitUntilUpAsync(ActorSystem system)
    {
        var up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Cluster.Get(system).RegisterOnMemberUp(() => up.TrySetResult());
        return up.Task.WaitAsync(TimeSpan.FromMinutes(1));
    }

    /// <summary>The benchmark's host is nobody's guest: nothing but its parent stops it.</summary>
    private sealed class Lifetime : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping => CancellationToken.None;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication()
        {
        }
    }
}
