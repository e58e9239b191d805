using System.Reflection;
using Kvcached.Actors.Telemetry;
using Kvcached.Client;
using Kvcached.Core.Contracts;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Metrics;

/// <summary>Spans of a decision come from several processes, and belong together where they are collected.</summary>
public sealed class TracesTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();

    [Fact]
    public async Task Map_OverTwoHosts_IsOneTraceWithASpanOfEachProcess()
    {
        await using var receiver = await OtlpReceiver.StartAsync();
        string[] traced = ["--hosts", "2", "--otlp-endpoint", receiver.Url, "--trace-share", "1"];
        var first = await _launcher.StartReadyAsync(["--gpu", "none:0", .. traced]);
        await _launcher.StartReadyAsync(["--gpu", "none:1", "--seed", $"127.0.0.1:{first.Ready.Port}", .. traced]);

        await first.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus.Count(gpu => gpu.IsAvailable) == 2);
        Grow(first, TwoRanks());

        var (map, ranks) = await receiver.WaitForAsync(spans => FindMap(spans));
        Assert.Equal("HOST-0", map.Instance);
        Assert.Equal(string.Empty, map.ParentSpanId);
        Assert.Equal(("p", "landed"), (map.Tags[KvcachedTraces.PoolTag], map.Tags[KvcachedTraces.OutcomeTag]));
        Assert.Equal(["HOST-0", "HOST-1"], ranks.Select(span => span.Instance).Order(StringComparer.Ordinal));
        Assert.All(ranks, span => Assert.Equal(
            (KvcachedTraces.RankMap, map.TraceId, span.Instance, "Applied"), (span.Name, span.TraceId, span.Tags[KvcachedTraces.GpuTag], span.Tags[KvcachedTraces.OutcomeTag])));
    }

    [Fact]
    public async Task Host_ThatIsToTraceNowhere_DoesNotStart()
    {
        var host = _launcher.Start("--port", "0", "--management-port", "0", "--memory", "64MiB", "--gpu", "none:0", "--trace-share", "0.5");
        Assert.NotEqual(0, await host.WaitForExitAsync());
        Assert.Contains("trace-share: '0.5' (command line) has nowhere to go; name a collector with otlp-endpoint", host.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Document_NamesEverySpanTagAndEvent_AndNoOther()
    {
        var defined = typeof(KvcachedTraces).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Where(field => field.IsLiteral && field.Name != nameof(KvcachedTraces.Name)).Select(field => (string)field.GetRawConstantValue()!);
        var documented = RepositoryFiles.Read("docs", "tracing.md").Split('\n')
            .Where(line => line.StartsWith("| `", StringComparison.Ordinal)).Select(line => line.Split('`')[1]);
        Assert.Equal(defined.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    private static Tuple<PushedSpan, PushedSpan[]>? FindMap(IReadOnlyList<PushedSpan> spans) => spans.Where(span => span.Name == KvcachedTraces.Map)
        .Select(map => Tuple.Create(map, spans.Where(span => span.ParentSpanId == map.SpanId).ToArray()))
        .FirstOrDefault(found => found.Item2.Length == 2);

    private static PoolSpec TwoRanks()
    {
        var one = RawEngine.Spec();
        var rank = one.Geometry.Ranks[0];
        return one with { Geometry = new PoolGeometry(KvLayout.Contiguous, 0, [8], [rank, new RankShape(GpuId.Parse("HOST-1"), rank.Groups)]) };
    }

    private static void Grow(RunningHost host, PoolSpec spec)
    {
        var session = KvSession.Open(new KvSessionOptions { SocketPath = host.Ready.Socket, EngineName = "traced" });
        Assert.True(session.IsGranted, session.Refusal?.ToString());
        using var opened = session.Value!;
        var pool = opened.OpenPool(spec, HostLauncher.Patience);
        Assert.True(pool.IsGranted, pool.Refusal?.ToString());
        using var open = pool.Value!;
        Assert.Null(open.AllocateOrGrow(0, new BlockId[1], HostLauncher.Patience));
    }
}
