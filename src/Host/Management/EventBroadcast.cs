using System.Threading.Channels;

namespace Kvcached.Host.Management;

/// <summary>One event for a stream: its name, its number and what is sent.</summary>
internal readonly record struct StreamEvent(string Name, string Id, string Data);

/// <summary>
/// Hands events to everyone who listens. Who doesn't keep up is cut off, and connects again; nobody else waits. Safe to call from any thread.
/// </summary>
internal sealed class EventBroadcast
{
    /// <summary>Listeners at a time, of all streams of a kind.</summary>
    public const int MaxListeners = 256;

    private const int MaxBacklog = 1024;

    private readonly Lock _gate = new();
    private readonly HashSet<Channel<StreamEvent>> _listeners = [];

    public int ListenerCount
    {
        get
        {
            lock (_gate)
            {
                return _listeners.Count;
            }
        }
    }

    /// <summary>Begins to listen. Null when there are too many already.</summary>
    /// <param name="first">Events to begin with.</param>
    public Channel<StreamEvent>? TryListen(IEnumerable<StreamEvent> first)
    {
        var channel = Channel.CreateBounded<StreamEvent>(new BoundedChannelOptions(2 * MaxBacklog) { SingleReader = true });
        lock (_gate)
        {
            if (_listeners.Count >= MaxListeners)
            {
                return null;
            }

            foreach (var item in first)
            {
                channel.Writer.TryWrite(item);
            }

            _listeners.Add(channel);
            return channel;
        }
    }

    public void Leave(Channel<StreamEvent> channel)
    {
        lock (_gate)
        {
            _listeners.Remove(channel);
        }
    }

    public void Publish(StreamEvent item)
    {
        lock (_gate)
        {
            _listeners.RemoveWhere(listener =>
            {
                if (listener.Writer.TryWrite(item))
                {
                    return false;
                }

                listener.Writer.TryComplete();
                return true;
            });
        }
    }
}
