using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Management;
using Kvcached.Host.Metrics;

namespace Kvcached.Host.Dashboard;

/// <summary>
/// A picture of the domain once a second for all pages that are open at this host. The coordinator is asked once for all of them, and for scrapes too; with no page open, not at all.
/// </summary>
internal sealed class DashboardFeed(DomainSnapshot snapshot, LocalGpuReader local, ClusterReader cluster, IHostApplicationLifetime lifetime, TimeProvider time)
{
    public const string EventName = "picture";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly EventBroadcast _broadcast = new();
    private StreamEvent? _last;
    private bool _isFollowing;

    /// <summary>Begins a stream; null when there are too many already.</summary>
    public IResult? TryOpen()
    {
        lock (_gate)
        {
            if (_broadcast.TryListen(_isFollowing && _last is { } last ? [last] : []) is not { } channel)
            {
                return null;
            }

            if (!_isFollowing)
            {
                _isFollowing = true;
                _ = FollowAsync();
            }

            return new EventStream(channel, () => _broadcast.Leave(channel));
        }
    }

    private async Task FollowAsync()
    {
        using var timer = new PeriodicTimer(Interval, time);
        var stopping = lifetime.ApplicationStopping;
        try
        {
            do
            {
                await snapshot.RefreshAsync(stopping);
                Publish(Draw());
            }
            while (await timer.WaitForNextTickAsync(stopping) && IsWatched());
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private bool IsWatched()
    {
        lock (_gate)
        {
            return _isFollowing = _broadcast.ListenerCount > 0;
        }
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
        var domain = snapshot.Last;
        var view = new DashboardView(
            domain is null ? null : DomainViews.Pools(domain),
            [.. (domain?.Gpus ?? []).Select(gpu => DomainViews.Gpu(gpu, gpu.Gpu == local.Gpu ? local.Read() : null))],
            cluster.ReadMembers(),
            domain is null ? "The coordinator doesn't answer; it may be moving." : string.Empty);
        return new StreamEvent(EventName, string.Empty, JsonSerializer.Serialize(view, ManagementJsonContext.Default.DashboardView));
    }
}
