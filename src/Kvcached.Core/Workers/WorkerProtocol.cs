using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Workers;

/// <summary>
/// The conversation between the rank host of a GPU and one engine worker that maps the pages of one pool there: one connection per
/// attached rank. Operations are numbered, come in order, and each gets exactly one <see cref="OperationDone"/>.
/// </summary>
/// <remarks>
/// File descriptors travel beside the messages, in the order in which their extents are listed, one per mapping unit in the order of units.
/// </remarks>
public static class WorkerProtocol
{
    public interface IMessage;

    /// <summary>
    /// Worker to host: this process maps the pages of that rank from now on. Reply: <see cref="RankAttached"/>, then operations of which the
    /// first is an <see cref="WorkerOperationKind.Install"/>; or <see cref="AttachRefused"/>.
    /// </summary>
    /// <param name="Worker">This life of the worker; it stays the same when the same process connects again.</param>
    /// <param name="PoolName">Name of the pool in the domain.</param>
    /// <param name="Rank">Which rank this worker is, from 0.</param>
    /// <param name="Device">The device that it runs on; must be that of the host.</param>
    /// <param name="Backend">What it maps with, <c>cuda</c> or <c>host</c>; must be the host's.</param>
    /// <param name="Pool">The pool that it was attached to before; default when it is new.</param>
    /// <param name="HighestEpoch">The highest epoch whose operation it has carried out; default when it is new.</param>
    /// <param name="HighestGeneration">
    /// The highest generation of any extent that it was ever told to map; 0 when it is new. A host that takes the extents over sees to it that none of
    /// them is given a second time.
    /// </param>
    /// <param name="Held">What it still has mapped; the descriptors of these extents come along. Empty when it is new.</param>
    public sealed record AttachRank(
        WorkerIncarnation Worker, string PoolName, int Rank, GpuId Device, string Backend, PoolId Pool, Epoch HighestEpoch,
        uint HighestGeneration, ImmutableArray<LentExtent> Held) : IMessage;

    /// <summary>Host to worker: attached.</summary>
    /// <param name="Pool">The pool.</param>
    /// <param name="Rank">The rank.</param>
    /// <param name="Spec">All of what was opened; the worker lays out its arena by it.</param>
    public sealed record RankAttached(PoolId Pool, int Rank, PoolSpec Spec) : IMessage;

    /// <summary>Host to worker: not attached, and nothing changed.</summary>
    public sealed record AttachRefused(Refusal Refusal) : IMessage;

    /// <summary>Host to worker: what to do next.</summary>
    /// <param name="Operation">Number of the operation on this connection, from 1 without gaps.</param>
    /// <param name="Kind">What to do.</param>
    /// <param name="Epoch">Epoch of the decision; a worker refuses one older than the highest it has seen.</param>
    /// <param name="Seq">The decision.</param>
    /// <param name="Fence">For unmapping: the step to complete first.</param>
    /// <param name="Extents">
    /// The extents. To map and to install, each comes with its descriptors; to install, the list is the whole table: what isn't in it is unmapped,
    /// what is mapped already, by the same identity, stays. To unmap, their identities say which memory is meant.
    /// </param>
    /// <param name="IsDescriptorsHeld">
    /// For <see cref="WorkerOperationKind.Install"/>, one flag per extent: true when the worker holds it already, so that no descriptors come.
    /// Empty means that descriptors come for all.
    /// </param>
    public sealed record Operate(
        long Operation, WorkerOperationKind Kind, Epoch Epoch, long Seq, EngineStep Fence, ImmutableArray<LentExtent> Extents,
        ImmutableArray<bool> IsDescriptorsHeld) : IMessage;

    /// <summary>Worker to host: an operation was carried out, or refused.</summary>
    /// <param name="Operation">Its number.</param>
    /// <param name="Refusal">Why it was not carried out; null when it was. A refused map has left nothing behind but <paramref name="Stuck"/>.</param>
    /// <param name="Digest">Digest over the worker's table after it.</param>
    /// <param name="Stuck">
    /// Extents that the driver would not let go of: not in the table any more, but still mapped. Such an extent is free only with its
    /// <see cref="StuckReleased"/>, or with an install after which it isn't named: after an <see cref="WorkerOperationKind.Install"/> all that are
    /// stuck are named, also from before, and the host takes what is neither in the list nor named here for unmapped.
    /// </param>
    /// <param name="DriverMicroseconds">Time spent in mapping calls.</param>
    public sealed record OperationDone(
        long Operation, Refusal? Refusal, LayoutDigest Digest, ImmutableArray<Extent> Stuck, double DriverMicroseconds) : IMessage;

    /// <summary>Worker to host: extents that were stuck are unmapped now.</summary>
    public sealed record StuckReleased(ImmutableArray<Extent> Extents) : IMessage;

    /// <summary>Worker to host: it has unmapped everything, closed its descriptors and leaves in good order.</summary>
    public sealed record Detach : IMessage
    {
        public static Detach Instance { get; } = new();
    }

    /// <summary>
    /// Host to worker: the pool is closed or withdrawn; the worker unmaps everything once that step and all work that it has submitted are complete, and detaches.
    /// </summary>
    /// <param name="Refusal">Why.</param>
    /// <param name="Fence">The last engine step that uses the pool; none when its scheduler named none.</param>
    public sealed record PoolGone(Refusal Refusal, EngineStep Fence = default) : IMessage;

    /// <summary>
    /// Host to worker, once after each attaching: all that the rank's table held then is mapped. A worker that was started anew may use the blocks that
    /// its scheduler holds from here on.
    /// </summary>
    public sealed record TableComplete : IMessage
    {
        public static TableComplete Instance { get; } = new();
    }
}

/// <summary>What an operation does.</summary>
public enum WorkerOperationKind : byte
{
    /// <summary>Maps the extents, all or none.</summary>
    Map = 1,

    /// <summary>Unmaps them after the fence, releases their memory and closes its descriptors.</summary>
    Unmap = 2,

    /// <summary>Makes the table exactly this list.</summary>
    Install = 3,

    /// <summary>
    /// Unmaps them after the fence, but keeps their memory imported: when it comes again, by the same creator and serial, it is mapped without importing it
    /// anew. It is kept until <see cref="LetGo"/>, a refused <see cref="Map"/> of it, or the end of the connection.
    /// </summary>
    Retire = 4,

    /// <summary>
    /// Releases what is kept imported of these, named as when they were unmapped, whatever its epoch: it is no decision. What the driver doesn't release is named as stuck, and is to be asked for
    /// again.
    /// </summary>
    LetGo = 5,
}

/// <summary>An extent and the memory that backs it on one rank.</summary>
public readonly record struct LentExtent(Extent Extent, ExtentIdentity Identity);
