using Kvcached.Actors.Protocols;
using Kvcached.Host.Management;

namespace Kvcached.Host.Metrics;

/// <summary>
/// The coordinator's picture as metrics show it, not older than a second when it is read: asked for at most once in that time, however many scrape.
/// </summary>
internal sealed class DomainSnapshot(DomainReader reader, TimeProvider time)
{
    private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private Task _reading = Task.CompletedTask;
    private long _readAt;
    private DomainProtocol.DomainDescription? _last;

    /// <summary>The last picture; null when the coordinator didn't answer.</summary>
    public DomainProtocol.DomainDescription? Last => Volatile.Read(ref _last);

    /// <summary>Reads it anew when it is too old.</summary>
    public Task RefreshAsync(CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_reading.IsCompleted && (_readAt == 0 || time.GetElapsedTime(_readAt) >= MaxAge))
            {
                _readAt = time.GetTimestamp();
                _reading = ReadAsync();
            }

            return _reading.WaitAsync(cancellation);
        }
    }

    private async Task ReadAsync() => Volatile.Write(ref _last, (await reader.DescribeAsync(CancellationToken.None)).Description);
}
