using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Actors.Telemetry;

namespace Kvcached.Actors.Tests.Telemetry;

/// <summary>Listens to the spans of one pool and of what belongs to their traces; those of other tests of this process aren't recorded.</summary>
internal sealed class SpanCollector : IDisposable
{
    private readonly ConcurrentQueue<Activity> _ended = new();
    private readonly ConcurrentDictionary<ActivityTraceId, bool> _traces = new();
    private readonly string _pool;
    private readonly ActivityListener _listener;

    public SpanCollector(string pool)
    {
        _pool = pool;
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == KvcachedTraces.Name,
            Sample = Choose,

            // What another listener has recorded is told to this one too.
            ActivityStarted = Follow,
            ActivityStopped = activity =>
            {
                if (_traces.ContainsKey(activity.TraceId))
                {
                    _ended.Enqueue(activity);
                }
            },
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public ImmutableArray<Activity> Ended => [.. _ended];

    /// <summary>Waits for the span of that name with all spans below it, in the order in which they ended.</summary>
    public async Task<(Activity Span, ImmutableArray<Activity> Below)> FindAsync(string name, int below, CancellationToken cancellation)
    {
        while (true)
        {
            foreach (var span in Ended.Where(span => span.OperationName == name))
            {
                var children = Ended.Where(other => other.ParentSpanId == span.SpanId && other.HasRemoteParent).ToImmutableArray();
                if (children.Length >= below)
                {
                    return (span, children);
                }
            }

            Assert.False(cancellation.IsCancellationRequested, $"No {name} with {below} below it: {string.Join(", ", Ended.Select(a => $"{a.OperationName} {a.SpanId} < {a.ParentSpanId}"))}");
            await Task.Delay(5, CancellationToken.None);
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Follow(Activity activity)
    {
        if (Equals(activity.GetTagItem(KvcachedTraces.PoolTag), _pool))
        {
            _traces.TryAdd(activity.TraceId, true);
        }
    }

    private ActivitySamplingResult Choose(ref ActivityCreationOptions<ActivityContext> options) =>
        _traces.ContainsKey(options.Parent.TraceId)
        || (options.Tags?.Any(tag => tag.Key == KvcachedTraces.PoolTag && Equals(tag.Value, _pool)) ?? false)
            ? ActivitySamplingResult.AllDataAndRecorded
            : ActivitySamplingResult.None;
}
