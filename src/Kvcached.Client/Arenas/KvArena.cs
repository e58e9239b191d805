using System.Collections.Immutable;
using Kvcached.Client.Arenas;
using Kvcached.Client.Lines;
using Kvcached.Client.Sessions;
using Kvcached.Client.Threads;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Fences;
using Kvcached.Gpu.Memory;

namespace Kvcached.Client;

/// <summary>
/// The memory of one rank of a pool in an engine's worker: a reserved range into which the host's pages are mapped, in step with all other
/// ranks. Thread-safe; has threads of its own. The memory stays mapped while the host is away.
/// </summary>
public sealed partial class KvArena : IDisposable
{
    private readonly KvAttachOptions _options;
    private readonly ILineConnector _connector;
    private readonly TimeProvider _time;
    private readonly IVirtualMemory _memory;
    private readonly bool _ownsMemory;
    private readonly IStreamFences _fences;
    private readonly StepTracker _steps = new();
    private readonly Synchronizer _synchronizer;
    private readonly LibraryThread _thread;
    private readonly ManualResetEventSlim _changed = new();
    private int _isDisposed;
    private volatile bool _isWaiting;

    private KvArena(KvAttachOptions options, ILineConnector connector, TimeProvider time, IVirtualMemory memory, bool ownsMemory, IStreamFences fences)
    {
        (_options, _connector, _time, _memory, _ownsMemory, _fences) = (options, connector, time, memory, ownsMemory, fences);
        _thread = new LibraryThread("kvcached arena", Upkeep);
        _synchronizer = new Synchronizer(fences, _steps, _thread.Wake);
    }

    /// <summary>The pool is closed or withdrawn; all was unmapped, after the work submitted before. Called once, by the library's thread.</summary>
    public event Action<Refusal>? PoolGone;

    /// <summary>
    /// Connects, waits until the pool is open, reserves the arena, and waits until all is mapped that the pool holds by then: a worker that takes the
    /// place of another may use the blocks of its scheduler at once. Refused within <see cref="KvAttachOptions.AttachTimeout"/>. What is granted
    /// later is mapped in the background, before the scheduler learns of it.
    /// </summary>
    public static ClientResult<KvArena> Attach(KvAttachOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Attach(options, new SocketConnector(options.SocketPath), BootTime.Instance, StreamFences.For);
    }

    /// <summary>This life of the worker.</summary>
    public WorkerIncarnation Worker { get; } = WorkerIncarnation.New();

    public PoolId Pool { get; private set; }

    public PoolSpec Spec { get; private set; } = null!;

    public int Rank => _options.Rank;

    /// <summary>Where everything lies, in bytes from <see cref="BaseAddress"/>.</summary>
    public ArenaLayout Layout { get; private set; } = null!;

    /// <summary>Address of the reserved range. Stays the same as long as the arena lives.</summary>
    public nint BaseAddress { get; private set; }

    /// <summary>Bytes of the reserved range; memory is taken only where pages are mapped.</summary>
    public long ByteCount => Layout.ByteCount;

    /// <summary>True when the processor can read and write the memory at its address (the host backend).</summary>
    public bool IsHostAccessible => _memory.IsHostAccessible;

    /// <summary>One entry per KV group, layer and buffer, in this order.</summary>
    public ImmutableArray<KvTensor> Tensors { get; private set; } = [];

    /// <summary>True while the host is connected and has attached this worker.</summary>
    public bool IsAttached => _isAttached;

    /// <summary>Why the pool is gone; null while it is there.</summary>
    public Refusal? Gone => _gone;

    /// <summary>All work of this step and those before it is complete. Never blocks.</summary>
    public void StepDone(EngineStep step)
    {
        _steps.Done(step);
        WakeWaiting();
    }

    /// <summary>
    /// All work of this step, and of those before it, has been submitted to this CUDA stream: the step is complete when the stream gets there, which
    /// the library's thread watches. Never blocks; during a graph capture it is put off until the next call outside of one. On main memory, the same
    /// as <see cref="StepDone(EngineStep)"/>.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="stream">A <c>CUstream</c> of the context that is current on this thread; 0 is the default stream.</param>
    public void StepDone(EngineStep step, nint stream)
    {
        if (_fences.IsImmediate)
        {
            _steps.Done(step);
        }
        else
        {
            _steps.Submitted(step, stream, _fences.TryRecord(stream, out var ticket) ? ticket : null);
        }

        WakeWaiting();
    }

    /// <summary>Counts of this moment.</summary>
    public KvArenaStats GetStats()
    {
        var published = Volatile.Read(ref _published);
        return published with { CompletedStep = _steps.Completed };
    }

    /// <summary>
    /// Waits for submitted work, unmaps everything, closes all descriptors and leaves. Null, or what could not be let go of, which then stays mapped
    /// until the process ends.
    /// </summary>
    public Refusal? Detach(TimeSpan deadline)
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return null;
        }

        if (_thread.IsCurrent)
        {
            // From a handler of its own: the thread leaves once it has returned.
            _thread.Post(Leave);
            new Thread(() => Finish(deadline)) { IsBackground = true, Name = "kvcached leave" }.Start();
            return null;
        }

        _thread.Post(Leave);
        return Finish(deadline);
    }

    /// <summary>Detaches, waiting at most for <see cref="KvAttachOptions.DetachTimeout"/>.</summary>
    public void Dispose() => Detach(_options.DetachTimeout);

    internal static ClientResult<KvArena> Attach(
        KvAttachOptions options, ILineConnector connector, TimeProvider time, Func<IVirtualMemory, IStreamFences> openFences)
    {
        var memory = options.Memory;
        if (memory is null)
        {
            var request = new VirtualMemoryRequest { Backend = options.Device.IsHostMemory ? BackendChoice.Host : BackendChoice.Cuda, Gpu = options.Device };
            if (!VirtualMemoryFactory.TryOpen(request, out memory, out var problem))
            {
                return new Refusal(RefusalReason.NotSupported, problem.Text);
            }
        }

        IStreamFences fences;
        try
        {
            fences = openFences(memory);
        }
        catch (VirtualMemoryException problem)
        {
            Close(memory, options.Memory is null);
            return new Refusal(RefusalReason.DriverFailed, problem.Message);
        }

        var arena = new KvArena(options, connector, time, memory, options.Memory is null, fences);
        arena._thread.Start();
        arena._thread.Post(arena._fences.PrepareThread);
        if (arena.WaitUntilAttached(Deadlines.Clamp(options.AttachTimeout)) is not { } refusal)
        {
            return arena;
        }

        arena.Dispose();
        return refusal;
    }

    private static void Close(IVirtualMemory memory, bool isOwned)
    {
        if (isOwned)
        {
            memory.Dispose();
        }
    }

    private void WakeWaiting()
    {
        if (_isWaiting)
        {
            _thread.Wake();
        }
    }

    private Refusal? WaitUntilAttached(TimeSpan timeout)
    {
        var started = TimeProvider.System.GetTimestamp();
        for (var left = timeout; left > TimeSpan.Zero; left = timeout - TimeProvider.System.GetElapsedTime(started))
        {
            if (_gone is { } gone)
            {
                return gone;
            }

            if (_isTableComplete)
            {
                return null;
            }

            _changed.Wait(left);
            _changed.Reset();
        }

        return Volatile.Read(ref _work) is not null
            ? new Refusal(RefusalReason.DeadlineExceeded, $"This worker was attached, but what pool '{_options.PoolName}' holds was not all mapped within {timeout.TotalSeconds:0.#} s. Attach again with more time.")
            : _lastObstacle ?? new Refusal(RefusalReason.HostUnreachable, $"No host attached this worker within {timeout.TotalSeconds:0.#} s. See whether the host at '{_options.SocketPath}' runs.");
    }

    private Refusal? Finish(TimeSpan deadline)
    {
        var started = TimeProvider.System.GetTimestamp();
        deadline = Deadlines.Clamp(deadline);
        for (var left = deadline; !_hasLeft && left > TimeSpan.Zero; left = deadline - TimeProvider.System.GetElapsedTime(started))
        {
            _changed.Wait(left);
            _changed.Reset();
        }

        // Whatever blocks the thread in sending or greeting ends with its line.
        Volatile.Read(ref _line)?.Interrupt();
        Refusal? kept = null;
        _thread.Post(() => kept = CloseAll());
        _thread.Stop();
        _synchronizer.Dispose();
        _fences.Dispose();
        if (kept is null && _hasLeft)
        {
            Close(_memory, _ownsMemory);
        }

        return kept;
    }
}
