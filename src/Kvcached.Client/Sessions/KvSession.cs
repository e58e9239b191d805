using Kvcached.Client.Lines;
using Kvcached.Client.Sessions;
using Kvcached.Client.Threads;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;
using Kvcached.Core.Sockets;

namespace Kvcached.Client;

/// <summary>
/// The session of an engine's scheduler with its domain. Keeps its lease, connects again when the host restarts, and fences itself: once its
/// lease is near its end, no block is handed out any more. Thread-safe; has one thread of its own, and one more per connection.
/// </summary>
/// <remarks>Disposing it closes its pools and returns their memory. A process that just ends leaves tagged blocks to its successor.</remarks>
public sealed class KvSession : IDisposable, ISessionPort
{
    private readonly KvSessionOptions _options;
    private readonly ILineConnector _connector;
    private readonly TimeProvider _time;
    private readonly LeaseFence _lease;
    private readonly SchedulerSession _session;
    private readonly LibraryThread _thread;
    private readonly ManualResetEventSlim _changed = new();
    private IEngineLine? _line;
    private long? _triedAt;
    private int _isDisposed;
    private long _granularityBytes = 1;
    private volatile bool _isStopping;

    private KvSession(KvSessionOptions options, ILineConnector connector, TimeProvider time)
    {
        (_options, _connector, _time) = (options, connector, time);
        _lease = new LeaseFence(time);
        _session = new SchedulerSession(options, time, _lease);
        _thread = new LibraryThread("kvcached session", Upkeep);
    }

    /// <summary>Connects and opens a session. Refused, within <see cref="KvSessionOptions.ConnectTimeout"/>, when no host answers or the domain is another.</summary>
    public static ClientResult<KvSession> Open(KvSessionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Open(options, new SocketConnector(options.SocketPath), BootTime.Instance);
    }

    /// <summary>This session; the same over reconnections.</summary>
    public SessionId Id => _session.Id;

    /// <summary>Why the session ended; null while it lives. When it has ended, so have all its pools.</summary>
    public Refusal? Ended => _session.Ended;

    /// <summary>True while a host is connected. Without one, mapped pages can be used until the lease ends.</summary>
    public bool IsConnected => Volatile.Read(ref _line) is not null;

    TimeProvider ISessionPort.Time => _time;

    LeaseFence ISessionPort.Lease => _lease;

    TimeSpan ISessionPort.CloseTimeout => _options.CloseTimeout;

    bool ISessionPort.IsOwnThread => _thread.IsCurrent;

    /// <summary>Opens a pool with the default options.</summary>
    public ClientResult<KvPool> OpenPool(PoolSpec spec, TimeSpan deadline) => OpenPool(spec, new KvPoolOptions(), deadline);

    /// <summary>
    /// Opens a pool, or takes over one of the same name and geometry whose session has ended: what is mapped stays, and blocks that had a tag are
    /// cached. A pool that this session has open already is refused as <see cref="RefusalReason.NameInUse"/>.
    /// </summary>
    /// <remarks>
    /// After a take-over all blocks without a tag are free at once. Workers that outlive their scheduler must have no step of it in flight when its
    /// successor begins to allocate.
    /// </remarks>
    public ClientResult<KvPool> OpenPool(PoolSpec spec, KvPoolOptions options, TimeSpan deadline)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(options);
        if (_thread.IsCurrent)
        {
            return new Refusal(RefusalReason.NotSupported, "A handler of the library's events can't wait for the coordinator, whose answer comes on the same thread. Have another thread ask.");
        }

        if (GeometryRules.FindProblem(spec.Geometry, Volatile.Read(ref _granularityBytes)) is { } problem)
        {
            return new Refusal(RefusalReason.BadGeometry, problem);
        }

        var opening = new PoolOpening(spec, options, this, _session);
        ((ISessionPort)this).Submit(opening.Request);
        return opening.Wait(Deadlines.Clamp(deadline));
    }

    /// <summary>Closes the session: its pools are gone afterwards, and so are its threads and descriptors.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        if (_thread.IsCurrent)
        {
            // From a handler: the thread can't wait for itself.
            _session.Close();
        }
        else
        {
            _changed.Reset();
            _thread.Post(() => _session.Close());
            var started = _time.GetTimestamp();
            for (var left = _options.CloseTimeout; _session.Ended is null && left > TimeSpan.Zero; left = _options.CloseTimeout - _time.GetElapsedTime(started))
            {
                _changed.Wait(left);
                _changed.Reset();
            }
        }

        Stop(new Refusal(RefusalReason.UnknownSession, "The session was closed by its engine."));
    }

    void ISessionPort.Submit(PendingRequest request)
    {
        if (!_thread.Post(() => _session.Submit(request)))
        {
            request.Complete(new EngineProtocol.RequestRefused(Id, default, Ended ?? new Refusal(RefusalReason.UnknownSession, "The session was closed by its engine.")));
        }
    }

    void ISessionPort.Wake() => _thread.Wake();

    void ISessionPort.Forget(PoolId pool)
    {
        if (_thread.IsCurrent)
        {
            _session.Forget(pool);
        }
        else
        {
            _thread.Post(() => _session.Forget(pool));
        }
    }

    internal static ClientResult<KvSession> Open(KvSessionOptions options, ILineConnector connector, TimeProvider time)
    {
        if (options.EngineName.Length is < 1 or > 64)
        {
            return new Refusal(RefusalReason.InvalidCount, $"An engine's name has 1 to 64 characters, not {options.EngineName.Length}.");
        }

        var session = new KvSession(options, connector, time);
        session._thread.Start();
        var started = TimeProvider.System.GetTimestamp();
        var timeout = Deadlines.Clamp(options.ConnectTimeout);
        while (true)
        {
            if (session._session.IsOpened)
            {
                return session;
            }

            var left = timeout - TimeProvider.System.GetElapsedTime(started);
            if (session.Ended is { } ended || left <= TimeSpan.Zero)
            {
                var why = session.Ended ?? session._session.LastObstacle
                    ?? new Refusal(RefusalReason.HostUnreachable, $"No coordinator answered within {timeout.TotalSeconds:0.#} s. See whether the hosts of domain '{options.Domain}' run.");
                session._isDisposed = 1;
                session.Stop(why);
                return why;
            }

            session._changed.Wait(left);
            session._changed.Reset();
        }
    }

    private TimeSpan Upkeep()
    {
        if (_line is null && !_isStopping && _session.Ended is null && (_triedAt is null || _time.GetElapsedTime(_triedAt.Value) >= _options.ReconnectInterval))
        {
            Connect();
        }

        var pause = _session.Upkeep();
        _changed.Set();
        return _line is null && pause > _options.ReconnectInterval ? _options.ReconnectInterval : pause;
    }

    private void Connect()
    {
        _triedAt = _time.GetTimestamp();
        var line = _connector.TryConnect(EngineRole.Scheduler, TimeSpan.FromSeconds(1), out var refusal);
        if (line is null)
        {
            _session.Unreachable(refusal!);
            return;
        }

        if (line.Host.Domain != _options.Domain)
        {
            line.Dispose();
            _session.End(new Refusal(RefusalReason.UnknownDomain, $"The host at '{_options.SocketPath}' belongs to domain '{line.Host.Domain}', not '{_options.Domain}'."));
            return;
        }

        Volatile.Write(ref _granularityBytes, line.Host.GranularityBytes);
        Volatile.Write(ref _line, line);
        line.Start(
            (message, descriptors) =>
            {
                if (!_thread.DoOrPost(() =>
                {
                    _session.Received(message, descriptors);
                    _changed.Set();
                }))
                {
                    SocketLine.Discard(descriptors);
                }
            },
            () => _thread.Post(() => Lost(line)));
        _session.Connected(line);
    }

    private void Lost(IEngineLine line)
    {
        if (ReferenceEquals(_line, line))
        {
            Volatile.Write(ref _line, null);
            _session.Disconnected();
        }

        line.Dispose();
    }

    private void Stop(Refusal why)
    {
        _isStopping = true;

        // Whatever blocks the thread in sending or greeting ends with its line.
        Volatile.Read(ref _line)?.Interrupt();
        _thread.Post(() =>
        {
            _session.End(why);
            if (_line is { } line)
            {
                Volatile.Write(ref _line, null);
                line.Dispose();
            }
        });
        _thread.Stop();
    }
}
