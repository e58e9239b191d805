using System.Collections.Concurrent;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// Requests to a copier over one channel: a thread that sends, a thread that receives, a bounded number of requests under way, a
/// deadline for each. Once it is closed, all calls fail with the same reason.
/// </summary>
internal sealed class CopierConnection : IAsyncDisposable
{
    private readonly UnixMessageChannel _channel;
    private readonly TimeProvider _clock;
    private readonly Func<string, Task<CopierUnavailable>> _describeEnd;
    private readonly ConcurrentDictionary<long, PendingCall> _pending = new();
    private readonly BlockingCollection<PendingCall> _toSend = [];
    private readonly SemaphoreSlim _credits = new(1);
    private readonly TaskCompletionSource<CopierUnavailable> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _sender;
    private readonly Task _receiver;
    private long _lastId;
    private int _isClosing;

    /// <param name="channel">Owned from here on.</param>
    /// <param name="clock">The clock of the deadlines.</param>
    /// <param name="describeEnd">Asked once, when the channel is closed: finishes the sentence with what became of the process.</param>
    public CopierConnection(UnixMessageChannel channel, TimeProvider clock, Func<string, Task<CopierUnavailable>> describeEnd)
    {
        _channel = channel;
        _clock = clock;
        _describeEnd = describeEnd;
        _sender = RunThread(SendLoop, "kvc-copier-send");
        _receiver = RunThread(ReceiveLoop, "kvc-copier-receive");
    }

    /// <summary>Completes when the connection is over, with the reason.</summary>
    public Task<CopierUnavailable> Closed => _closed.Task;

    /// <summary>Allows more requests under way, as the copier said; at first it is 1.</summary>
    public void AddCredits(int count)
    {
        if (count > 0)
        {
            _credits.Release(count);
        }
    }

    /// <summary>Sends a request and waits for its reply.</summary>
    /// <param name="parts">Its frames.</param>
    /// <param name="descriptors">Descriptors that go with them.</param>
    /// <param name="timeout">Time for all of it.</param>
    /// <param name="cancellation">Stops waiting; the request may be carried out all the same.</param>
    public async Task<CallOutcome> CallAsync(
        IReadOnlyList<CopierProtocol.IRequest> parts, SafeFileHandle[] descriptors, TimeSpan timeout, CancellationToken cancellation)
    {
        PendingCall call;
        try
        {
            call = new PendingCall(Interlocked.Increment(ref _lastId), parts, descriptors);
        }
        catch (ObjectDisposedException)
        {
            return new CopierCallInvalid("A file descriptor to be sent to the copier is closed; pass open ones.");
        }

        using var timer = new CancellationTokenSource(timeout, _clock);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation, _closing.Token);
        var isQueued = false;
        try
        {
            await _credits.WaitAsync(deadline.Token).ConfigureAwait(false);
            isQueued = Enqueue(call);
            return isQueued
                ? await call.Outcome.WaitAsync(deadline.Token).ConfigureAwait(false)
                : await _closed.Task.WaitAsync(deadline.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            if (_closing.IsCancellationRequested)
            {
                return await _closed.Task.ConfigureAwait(false);
            }

            var late = new CopierDeadlineExceeded(
                $"{parts[0].GetType().Name} got no reply from the copier within {timeout.TotalSeconds:0.###} s; it may still be carried out.");
            call.TryComplete(late);
            cancellation.ThrowIfCancellationRequested();
            return late;
        }
        finally
        {
            if (!isQueued)
            {
                call.Dispose();
            }
        }
    }

    /// <summary>Ends the connection for a reason of this side's.</summary>
    public void Close(string what) => _ = CloseAsync(what);

    public async ValueTask DisposeAsync()
    {
        await CloseAsync("was let go").ConfigureAwait(false);
        await Task.WhenAll(_sender, _receiver, _closed.Task).ConfigureAwait(false);
        _channel.Dispose();
        _toSend.Dispose();
    }

    private static Task RunThread(Action body, string name)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                body();
            }
            finally
            {
                ended.SetResult();
            }
        })
        {
            IsBackground = true,
            Name = name,
        };
        thread.Start();
        return ended.Task;
    }

    private bool Enqueue(PendingCall call)
    {
        _pending[call.Id] = call;
        try
        {
            _toSend.Add(call);
            return true;
        }
        catch (InvalidOperationException)
        {
            // No more is sent: the connection is closing.
            _pending.TryRemove(call.Id, out _);
            return false;
        }
    }

    private void SendLoop()
    {
        var frame = new byte[CopierCodec.MaxFrameBytes];
        foreach (var call in _toSend.GetConsumingEnumerable())
        {
            using (call)
            {
                if (_isClosing != 0)
                {
                    continue;
                }

                if (call.IsOver)
                {
                    Finish(call.Id, default);
                }
                else if (!Send(call, frame))
                {
                    Close("stopped listening");
                }
            }
        }
    }

    private bool Send(PendingCall call, byte[] frame)
    {
        foreach (var part in call.Parts)
        {
            var length = CopierCodec.Write(frame, call.Id, part);
            if (length == 0)
            {
                Finish(call.Id, new CopierCallInvalid($"{part.GetType().Name} doesn't fit a frame of {CopierCodec.MaxFrameBytes} bytes; shorten its names."));
                return true;
            }

            if (!_channel.Send(frame.AsSpan(0, length), call.DescriptorsOf(part)))
            {
                return false;
            }
        }

        return true;
    }

    private void ReceiveLoop()
    {
        var frame = new byte[CopierCodec.MaxFrameBytes];
        var descriptors = new List<SafeFileHandle>();
        while (true)
        {
            var status = _channel.Receive(frame, out var length, descriptors);
            var problem = status switch
            {
                ReceiveStatus.Closed => "closed its socket",
                ReceiveStatus.Truncated => "sent a message that arrived in part",
                _ => CopierCodec.ReadReply(frame.AsSpan(0, length), descriptors.Count, out var id, out var reply) is { } wrong
                    ? $"sent something malformed: {wrong}"
                    : Finish(id, new CallOutcome(reply, null)) ? null : $"answered request {id}, which isn't under way",
            };
            descriptors.ForEach(d => d.Dispose());
            descriptors.Clear();
            if (problem is not null)
            {
                Close(problem);
                return;
            }
        }
    }

    private bool Finish(long id, CallOutcome outcome)
    {
        if (!_pending.TryRemove(id, out var call))
        {
            return false;
        }

        call.TryComplete(outcome);
        _credits.Release();
        return true;
    }

    private async Task CloseAsync(string what)
    {
        if (Interlocked.Exchange(ref _isClosing, 1) != 0)
        {
            return;
        }

        _toSend.CompleteAdding();
        _channel.Shutdown();
        var reason = await _describeEnd(what).ConfigureAwait(false);
        _closed.SetResult(reason);
        foreach (var call in _pending.Values)
        {
            call.TryComplete(reason);
        }

        await _closing.CancelAsync().ConfigureAwait(false);
    }
}
