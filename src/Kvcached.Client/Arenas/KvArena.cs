using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.Client;

/// <summary>
/// The memory of one rank of a pool in an engine's worker: a reserved range into which the host's pages are mapped, in step with all other
/// ranks. Thread-safe; has threads of its own. The memory stays mapped while the host is away.
/// </summary>
public sealed class KvArena : IDisposable
{
    private KvArena()
    {
    }

    /// <summary>The pool is closed or withdrawn; all was unmapped, after the work submitted before. Called once, by the library's thread.</summary>
    public event Action<Refusal>? PoolGone
    {
        add => throw new NotImplementedException();
        remove => throw new NotImplementedException();
    }

    /// <summary>
    /// Connects, waits until the pool is open, and reserves the arena. Refused within <see cref="KvAttachOptions.AttachTimeout"/>. What is mapped
    /// comes in the background.
    /// </summary>
    public static ClientResult<KvArena> Attach(KvAttachOptions options) => throw new NotImplementedException();

    /// <summary>This life of the worker.</summary>
    public WorkerIncarnation Worker => throw new NotImplementedException();

    public PoolId Pool => throw new NotImplementedException();

    public PoolSpec Spec => throw new NotImplementedException();

    public int Rank => throw new NotImplementedException();

    /// <summary>Where everything lies, in bytes from <see cref="BaseAddress"/>.</summary>
    public ArenaLayout Layout => throw new NotImplementedException();

    /// <summary>Address of the reserved range. Stays the same as long as the arena lives.</summary>
    public nint BaseAddress => throw new NotImplementedException();

    /// <summary>Bytes of the reserved range; memory is taken only where pages are mapped.</summary>
    public long ByteCount => throw new NotImplementedException();

    /// <summary>True when the processor can read and write the memory at its address (the host backend).</summary>
    public bool IsHostAccessible => throw new NotImplementedException();

    /// <summary>One entry per KV group, layer and buffer, in this order.</summary>
    public ImmutableArray<KvTensor> Tensors => throw new NotImplementedException();

    /// <summary>True while the host is connected and has attached this worker.</summary>
    public bool IsAttached => throw new NotImplementedException();

    /// <summary>Why the pool is gone; null while it is there.</summary>
    public Refusal? Gone => throw new NotImplementedException();

    /// <summary>All work of this step and those before it is complete. Never blocks.</summary>
    public void StepDone(EngineStep step) => throw new NotImplementedException();

    /// <summary>
    /// All work of this step, and of those before it, has been submitted to this CUDA stream: the step is complete when the stream gets there, which
    /// the library's thread watches. Never blocks; during a graph capture it is put off until the next call outside of one. On main memory, the same
    /// as <see cref="StepDone(EngineStep)"/>.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="stream">A <c>CUstream</c> of the context that is current on this thread; 0 is the default stream.</param>
    public void StepDone(EngineStep step, nint stream) => throw new NotImplementedException();

    /// <summary>Counts of this moment.</summary>
    public KvArenaStats GetStats() => throw new NotImplementedException();

    /// <summary>
    /// Waits for submitted work, unmaps everything, closes all descriptors and leaves. Null, or what could not be let go of, which then stays mapped
    /// until the process ends.
    /// </summary>
    public Refusal? Detach(TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>Detaches, waiting at most for <see cref="KvAttachOptions.DetachTimeout"/>.</summary>
    public void Dispose() => throw new NotImplementedException();
}
