using Kvcached.Router.Traffic;

namespace Kvcached.Router.Proxy;

/// <summary>Lets an answer pass to the client as it comes, and notes when its events pass and what usage it tells. Keeps its last bytes only.</summary>
internal sealed class AnswerProbe(Stream client, HttpResponse response, string model, long startedAt, RouterMetrics metrics, TimeProvider time) : Stream
{
    private readonly UsageTail _tail = new();
    private EventCounter _events = new();
    private long _lastEventAt;
    private bool? _isStream;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>The usage that the answer has told, if it could be read.</summary>
    public TokenUsage? FindUsage() => response.Headers.ContentEncoding.Count == 0 ? _tail.Find() : null;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Look(buffer.Span);
        return client.WriteAsync(buffer, cancellationToken);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => client.FlushAsync(cancellationToken);

    public override void Flush() => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private void Look(ReadOnlySpan<byte> bytes)
    {
        _tail.Add(bytes);
        _isStream ??= response.ContentType?.StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase) == true;
        if (_isStream == false || _events.Count(bytes) is var ended && ended == 0)
        {
            return;
        }

        var now = time.GetTimestamp();
        if (_lastEventAt == 0)
        {
            metrics.FirstToken(model, time.GetElapsedTime(startedAt, now));
        }
        else
        {
            metrics.TokenGap(model, time.GetElapsedTime(_lastEventAt, now), ended);
        }

        _lastEventAt = now;
    }
}
