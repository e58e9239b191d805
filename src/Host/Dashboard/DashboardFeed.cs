using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Management;
using Kvcached.Host.Metrics;

namespace Kvcached.Host.Dashboard;

/// <summary>
/// A picture of the domain once a second for all pages that are open at this host. The coordinator is asked once for all of them, and for scrapes too; with no page open, not at all.
/// </summary>
internal sealed class DashboardFeed
{
    public const string EventName = "picture";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly DomainSnapshot _snapshot;
    private readonly LocalGpuReader _local;
    private readonly ClusterReader _cluster;
    private readonly WatchedLoop _loop;
    private readonly Lock _gate = new();
    private readonly EventBroadcast _broadcast = new();
    private StreamEvent? _last;

    public DashboardFeed(DomainSnapshot snapshot, LocalGpuReader local, ClusterReader cluster, IHostApplicationLifetime lifetime, TimeProvider time)
    {
        (_snapshot, _local, _cluster) = (snapshot, local, cluster);
        _loop = new WatchedLoop(Interval, time, () => _broadcast.ListenerCount > 0, DrawAsync, lifetime.ApplicationStopping);
    }

    /// <summary>Begins a stream; null when there are too many already.</summary>
    public IResult? TryOpen()
    {
        lock (_gate)
        {
            // What was drawn before the loop ended may be old.
            if (_broadcast.TryListen(_loop.IsRunning && _last is { } last ? [last] : []) is not { } channel)
            {
                return null;
            }

            _loop.Begin();
            return new EventStream(channel, () => _broadcast.Leave(channel));
        }
    }

    private async Task DrawAsync(CancellationToken stopping)
    {
        await _snapshot.RefreshAsync(stopping);
        Publish(Draw());
    }

    private void Publish(StreamEvent made)
    {
        lock (_gate)
        {
            _last = made;
            _broadcast.Publish(made);
        }
    }

    private StreamEvent Draw()
    {
        var domain = _snapshot.Last;
        var view = new DashboardView(
            domain is null ? null : DomainViews.Pools(domain),
            [.. (domain?.Gpus ?? []).Select(gpu => DomainViews.Gpu(gpu, gpu.Gpu == _local.Gpu ? _local.Read() : null))],
            _cluster.ReadMembers(),
            domain is null ? "The coordinator doesn't answer; it may be moving." : string.Empty);
        return new StreamEvent(EventName, string.Empty, JsonSerializer.Serialize(view, ManagementJsonContext.Default.DashboardView));
    }
}
