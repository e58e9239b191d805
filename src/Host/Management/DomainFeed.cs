using System.Globalization;
using System.Text.Json;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;

namespace Kvcached.Host.Management;

/// <summary>
/// The domain's events for those who watch at this host. While somebody does, it asks the coordinator for news, once for all of them; a coordinator that
/// moves is followed. Nobody watching costs nothing.
/// </summary>
internal sealed class DomainFeed
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(250);
    private const int MaxRemembered = 1024;

    private readonly CoordinatorDesk _desk;
    private readonly TimeProvider _time;
    private readonly WatchedLoop _loop;
    private readonly Lock _gate = new();
    private readonly EventBroadcast _broadcast = new();
    private readonly Queue<(Epoch Epoch, long Serial, StreamEvent Event)> _remembered = new();
    private Epoch _epoch;
    private long _last;

    public DomainFeed(CoordinatorDesk desk, IHostApplicationLifetime lifetime, TimeProvider time)
    {
        (_desk, _time) = (desk, time);
        _loop = new WatchedLoop(PollInterval, time, () => _broadcast.ListenerCount > 0, ReadAsync, lifetime.ApplicationStopping);
    }

    /// <summary>Begins a stream; null when there are too many already.</summary>
    /// <param name="lastId">Id of the last event that the caller has seen, as in <c>Last-Event-ID</c>; empty for none.</param>
    public IResult? TryOpen(string lastId)
    {
        lock (_gate)
        {
            var parts = lastId.Split('.');
            var isKnown = parts.Length == 2
                & long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var epoch)
                & long.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var serial);
            var missed = _remembered.Where(e => !isKnown || e.Epoch.Counter > epoch || (e.Epoch.Counter == epoch && e.Serial > serial)).Select(e => e.Event);
            if (_broadcast.TryListen(missed) is not { } channel)
            {
                return null;
            }

            _loop.Begin();
            return new EventStream(channel, () => _broadcast.Leave(channel));
        }
    }

    private async Task ReadAsync(CancellationToken stopping)
    {
        OperatorProtocol.EventsRead? read;
        do
        {
            read = (await _desk.AskAsync(new OperatorProtocol.ReadEvents(_epoch, _last), stopping)).Reply as OperatorProtocol.EventsRead;
            if (read is not null)
            {
                Take(read);
            }
        }
        while (read is { Events.IsDefaultOrEmpty: false } && _last < read.LastSerial);
    }

    private void Take(OperatorProtocol.EventsRead read)
    {
        lock (_gate)
        {
            (_epoch, _last) = (read.Epoch, read.Epoch == _epoch ? _last : 0);
            foreach (var item in read.Events.IsDefault ? [] : read.Events)
            {
                var view = new DomainEventView(
                    read.Epoch.Counter, item.Serial, _time.GetUtcNow().AddMilliseconds(-item.AgeMilliseconds), item.Kind, item.Pool, item.Gpu, item.Detail);
                var made = new StreamEvent(
                    item.Kind, string.Create(CultureInfo.InvariantCulture, $"{read.Epoch.Counter}.{item.Serial}"),
                    JsonSerializer.Serialize(view, ManagementJsonContext.Default.DomainEventView));
                _last = item.Serial;
                _remembered.Enqueue((read.Epoch, item.Serial, made));
                _broadcast.Publish(made);
            }

            while (_remembered.Count > MaxRemembered)
            {
                _remembered.Dequeue();
            }
        }
    }
}
