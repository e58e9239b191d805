using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Sockets;

/// <summary>What a descriptor is watched for.</summary>
[Flags]
public enum Readiness
{
    /// <summary>Only for its end.</summary>
    None = 0,

    /// <summary>Something can be read, or the other side is gone.</summary>
    Readable = 1,

    /// <summary>Something can be written.</summary>
    Writable = 2,
}

/// <summary>
/// One thread that waits for any number of descriptors and calls whoever watches them: an idle descriptor costs no thread. All handlers and posted
/// actions run on that thread, one at a time, and must not block.
/// </summary>
public sealed unsafe class EpollLoop : IDisposable
{
    private const int EventsPerTurn = 64;
    private const long SignalToken = 0;

    // The kernel's struct is packed on x86-64 only.
    private static readonly int DataOffset = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int EventBytes = DataOffset + sizeof(long);

    private readonly SafeFileHandle _queue;
    private readonly SafeFileHandle _signal;
    private readonly Thread _thread;
    private readonly Action<Exception> _onFault;
    private readonly TimeSpan _spin;
    private readonly Dictionary<long, Action<Readiness>> _handlers = [];
    private readonly ConcurrentQueue<Action> _posted = new();
    private long _lastToken = SignalToken;
    private int _isSignalled;
    private volatile bool _isStopping;

    /// <param name="threadName">Name of the thread.</param>
    /// <param name="onFault">Told of what a handler or action threw; the loop goes on.</param>
    /// <param name="spin">How long it looks for events before it sleeps; null = <see cref="BusyWait.Default"/>.</param>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public EpollLoop(string threadName, Action<Exception> onFault, TimeSpan? spin = null)
    {
        _onFault = onFault;
        _spin = spin ?? BusyWait.Default;
        _queue = new SafeFileHandle(EventNative.CreateQueue(EventNative.CloseOnExec), ownsHandle: true);
        _signal = new SafeFileHandle(EventNative.CreateSignal(0, EventNative.CloseOnExec | EventNative.NonBlocking), ownsHandle: true);
        if (_queue.IsInvalid || _signal.IsInvalid || !TryControl(EventNative.Add, _signal, SignalToken, Readiness.Readable))
        {
            var error = new Win32Exception(Marshal.GetLastPInvokeError());
            _queue.Dispose();
            _signal.Dispose();
            throw new IOException($"Nothing can be waited for: {error.Message}.", error);
        }

        _thread = new Thread(Run) { IsBackground = true, Name = threadName };
        _thread.Start();
    }

    /// <summary>True on the loop's own thread.</summary>
    public bool IsCurrent => Thread.CurrentThread == _thread;

    /// <summary>Has something done on the loop's thread, in the order of calls. From any thread; does nothing once the loop has ended.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        Signal();
    }

    /// <summary>Watches a descriptor. On the loop's thread only.</summary>
    /// <param name="descriptor">The descriptor, which stays the caller's; remove it before closing it.</param>
    /// <param name="wanted">What to watch it for.</param>
    /// <param name="handler">Called as long as it is ready.</param>
    /// <param name="token">Names it in the other calls.</param>
    /// <returns>False when the system can't watch it.</returns>
    public bool TryAdd(SafeHandle descriptor, Readiness wanted, Action<Readiness> handler, out long token)
    {
        token = ++_lastToken;
        if (!TryControl(EventNative.Add, descriptor, token, wanted))
        {
            return false;
        }

        _handlers.Add(token, handler);
        return true;
    }

    /// <summary>Watches a descriptor for something else. On the loop's thread only.</summary>
    public void Change(long token, SafeHandle descriptor, Readiness wanted)
    {
        if (_handlers.ContainsKey(token))
        {
            TryControl(EventNative.Modify, descriptor, token, wanted);
        }
    }

    /// <summary>Watches a descriptor no longer; its handler isn't called any more. On the loop's thread only.</summary>
    public void Remove(long token, SafeHandle descriptor)
    {
        if (_handlers.Remove(token))
        {
            TryControl(EventNative.Delete, descriptor, token, Readiness.None);
        }
    }

    /// <summary>Ends the thread after what is posted has been done, and waits for it.</summary>
    public void Dispose()
    {
        _isStopping = true;
        Signal();
        if (!IsCurrent)
        {
            _thread.Join();
        }
    }

    private void Signal()
    {
        if (Interlocked.Exchange(ref _isSignalled, 1) == 0)
        {
            try
            {
                var one = 1L;
                EventNative.Write(_signal, &one, sizeof(long));
            }
            catch (ObjectDisposedException)
            {
                // The loop has ended.
            }
        }
    }

    private void Run()
    {
        var events = stackalloc byte[EventBytes * EventsPerTurn];
        var lastEvent = Stopwatch.GetTimestamp();
        try
        {
            while (!_isStopping || !_posted.IsEmpty)
            {
                var isLooking = BusyWait.GoesOn(lastEvent, _spin);
                var count = EventNative.Wait(_queue, events, EventsPerTurn, isLooking ? 0 : -1);
                lastEvent = count > 0 ? Stopwatch.GetTimestamp() : lastEvent;
                if (count < 0 && Marshal.GetLastPInvokeError() != SocketNative.InterruptedCall)
                {
                    throw new IOException("Waiting for descriptors failed.", new Win32Exception(Marshal.GetLastPInvokeError()));
                }

                for (var i = 0; i < count; i++)
                {
                    Handle(new ReadOnlySpan<byte>(events + (i * EventBytes), EventBytes));
                }

                DoPosted();
            }
        }
        catch (IOException exception)
        {
            _onFault(exception);
        }
        finally
        {
            _queue.Dispose();
            _signal.Dispose();
        }
    }

    private void Handle(ReadOnlySpan<byte> happened)
    {
        var token = BinaryPrimitives.ReadInt64LittleEndian(happened[DataOffset..]);
        if (token == SignalToken)
        {
            long count;
            EventNative.Read(_signal, &count, sizeof(long));
            Volatile.Write(ref _isSignalled, 0);
            return;
        }

        // A handler that ran earlier in this turn may have removed this one.
        if (_handlers.TryGetValue(token, out var handler))
        {
            var bits = BinaryPrimitives.ReadUInt32LittleEndian(happened);
            var isOver = (bits & (EventNative.Error | EventNative.HangUp)) != 0;
            Guard(() => handler(
                ((bits & EventNative.Readable) != 0 || isOver ? Readiness.Readable : 0) | ((bits & EventNative.Writable) != 0 ? Readiness.Writable : 0)));
        }
    }

    private void DoPosted()
    {
        // Only what is there now, so that actions that post others don't keep descriptors waiting.
        for (var count = _posted.Count; count > 0 && _posted.TryDequeue(out var action); count--)
        {
            Guard(action);
        }

        if (!_posted.IsEmpty)
        {
            Signal();
        }
    }

    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            _onFault(exception);
        }
    }

    private bool TryControl(int operation, SafeHandle descriptor, long token, Readiness wanted)
    {
        var interest = stackalloc byte[16];
        var bits = ((wanted & Readiness.Readable) != 0 ? EventNative.Readable : 0) | ((wanted & Readiness.Writable) != 0 ? EventNative.Writable : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(new Span<byte>(interest, sizeof(uint)), bits);
        BinaryPrimitives.WriteInt64LittleEndian(new Span<byte>(interest + DataOffset, sizeof(long)), token);
        return EventNative.Control(_queue, operation, descriptor, interest) == 0;
    }
}
