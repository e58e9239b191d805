using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Telemetry;
using Kvcached.Actors.Tests.Hosting;
using Kvcached.Actors.Tests.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Gpu.Memory;

namespace Kvcached.Actors.Tests.Telemetry;

/// <summary>As <see cref="DecisionSpanSpecs"/>, the coordinator reaching the other host by a lane.</summary>
public sealed class DecisionSpansByLaneSpecs() : DecisionSpanSpecs(usesLocalLanes: true);

/// <summary>As <see cref="DecisionSpanSpecs"/>, everything going by Akka.Remote.</summary>
public sealed class DecisionSpansByRemoteSpecs() : DecisionSpanSpecs(usesLocalLanes: false);

/// <summary>Each decision is one span of the coordinator, with one of each rank below it, whichever way the decision goes to them.</summary>
public abstract class DecisionSpanSpecs(bool usesLocalLanes) : IAsyncLifetime
{
    private readonly HostPair _hosts = new() { UsesLocalLanes = usesLocalLanes };
    private readonly CancellationTokenSource _timeout = new(HostPair.Patience);

    public Task InitializeAsync() => _hosts.InitializeAsync();

    public async Task DisposeAsync()
    {
        await _hosts.DisposeAsync();
        _timeout.Dispose();
    }

    [Fact]
    public async Task Map_and_unmap_should_each_be_one_span_with_one_below_it_per_rank()
    {
        using var spans = new SpanCollector(NameOf("spans"));
        await using var pool = await OpenAsync("spans", PoolTarget.Host);
        Assert.Null((await pool.GrowAsync(0, 8, TimeSpan.FromSeconds(30), _timeout.Token)).Refusal);

        var map = await spans.FindAsync(KvcachedTraces.Map, 2, _timeout.Token);
        CheckTree(map, KvcachedTraces.RankMap);
        Assert.Equal(default, map.Span.ParentSpanId);
        Assert.Equal(NameOf("spans"), map.Span.GetTagItem(KvcachedTraces.PoolTag));
        Assert.Equal(8L, map.Span.GetTagItem(KvcachedTraces.PagesTag));
        Assert.Equal("landed", map.Span.GetTagItem(KvcachedTraces.OutcomeTag));
        Assert.Equal(KvcachedTraces.DecidedEvent, Assert.Single(map.Span.Events).Name);

        Assert.Null((await pool.TrimAsync(0, 0, TimeSpan.Zero, _timeout.Token)).Refusal);
        var unmap = await spans.FindAsync(KvcachedTraces.Unmap, 2, _timeout.Token);
        CheckTree(unmap, KvcachedTraces.RankUnmap);
        Assert.NotEqual(map.Span.TraceId, unmap.Span.TraceId);
        Assert.Null(Activity.Current);
    }

    [Fact]
    public async Task Map_that_one_rank_refuses_should_end_as_refused_with_its_abort_in_the_same_trace()
    {
        using var spans = new SpanCollector(NameOf("refused"));
        await using var pool = await OpenAsync("refused", PoolTarget.Host);
        var fault = new Fault(_hosts[1].Memory, VirtualMemoryOperation.Map, 1, DriverCode.Unknown);
        fault.Plan();
        Assert.Equal(RefusalReason.DriverFailed, (await pool.GrowAsync(0, 1, TimeSpan.FromSeconds(30), _timeout.Token)).Refusal?.Reason);
        fault.End();

        var map = await spans.FindAsync(KvcachedTraces.Map, 2, _timeout.Token);
        Assert.Equal(ActivityStatusCode.Error, map.Span.Status);
        Assert.Equal("DriverFailed", map.Span.GetTagItem(KvcachedTraces.OutcomeTag));
        var refusing = Assert.Single(map.Below, span => span.Status == ActivityStatusCode.Error);
        Assert.Equal("HOST-1", refusing.GetTagItem(KvcachedTraces.GpuTag));
        Assert.Equal("Refused", refusing.GetTagItem(KvcachedTraces.OutcomeTag));

        var abort = await spans.FindAsync(KvcachedTraces.Abort, 2, _timeout.Token);
        CheckTree(abort, KvcachedTraces.RankAbort);
        Assert.Equal((map.Span.TraceId, map.Span.SpanId), (abort.Span.TraceId, abort.Span.ParentSpanId));
        Assert.Equal(map.Span.GetTagItem(KvcachedTraces.SeqTag), abort.Span.GetTagItem(KvcachedTraces.AbortedTag));
    }

    [Fact]
    public async Task Rank_whose_worker_maps_should_note_that_it_waits_for_it()
    {
        using var spans = new SpanCollector(NameOf("mapped-by-workers"));
        await using var pool = await OpenAsync("mapped-by-workers", PoolTarget.Worker);
        FakeWorker[] workers = [.. Enumerable.Range(0, 2).Select(rank => new FakeWorker(_hosts[rank].State.Workers, 1) { AnswersAtOnce = true })];
        for (var rank = 0; rank < workers.Length; rank++)
        {
            var gpu = TestPools.Gpu(rank);
            workers[rank].Attach(NameOf("mapped-by-workers"), rank, request => request with { Device = gpu });
        }

        while ((await pool.GrowAsync(0, 4, TimeSpan.FromSeconds(30), _timeout.Token)).Refusal is { } refusal)
        {
            Assert.Equal(RefusalReason.NotAttached, refusal.Reason);
        }

        var map = await spans.FindAsync(KvcachedTraces.Map, 2, _timeout.Token);
        CheckTree(map, KvcachedTraces.RankMap);
        Assert.All(map.Below, span => Assert.Contains(span.Events, note => note.Name == KvcachedTraces.WorkerEvent));
    }

    [Fact]
    public async Task Decision_that_is_not_recorded_should_leave_no_span()
    {
        using var spans = new SpanCollector("another pool");
        await using var pool = await OpenAsync("unheard", PoolTarget.Host);
        Assert.Null((await pool.GrowAsync(0, 2, TimeSpan.FromSeconds(30), _timeout.Token)).Refusal);
        Assert.Empty(spans.Ended);
    }

    private static void CheckTree((Activity Span, ImmutableArray<Activity> Below) tree, string below)
    {
        Assert.Equal(ActivityStatusCode.Ok, tree.Span.Status);
        Assert.Equal(2, tree.Below.Length);
        Assert.Equal(["HOST-0", "HOST-1"], tree.Below.Select(span => (string)span.GetTagItem(KvcachedTraces.GpuTag)!).Order(StringComparer.Ordinal));
        foreach (var span in tree.Below)
        {
            Assert.Equal(below, span.OperationName);
            Assert.Equal(ActivityStatusCode.Ok, span.Status);
            Assert.Equal(tree.Span.TraceId, span.TraceId);
            Assert.Equal("Applied", span.GetTagItem(KvcachedTraces.OutcomeTag));
            Assert.Equal(tree.Span.GetTagItem(KvcachedTraces.SeqTag), span.GetTagItem(KvcachedTraces.SeqTag));
            Assert.NotNull(span.GetTagItem(KvcachedTraces.DriverTag));
        }
    }

    // Spans are the process's: those of the other class must not be taken for ours.
    private string NameOf(string pool) => $"{pool}-{usesLocalLanes}";

    private async Task<IEnginePool> OpenAsync(string name, PoolTarget target)
    {
        var client = await _hosts.ConnectAsync();
        var opened = await client.OpenPoolAsync(TestPools.Spec(NameOf(name), TestPools.Gpus(2), 64) with { Target = target }, _timeout.Token);
        Assert.Null(opened.Refusal);
        return opened.Value!;
    }
}
