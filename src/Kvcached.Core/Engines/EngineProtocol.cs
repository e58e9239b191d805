using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Engines;

/// <summary>
/// The conversation between an engine's scheduler and the coordinator of its domain, by way of any host's engine gateway.
/// Requests are idempotent: the same session, id and body get the same answer.
/// </summary>
public static class EngineProtocol
{
    public interface IMessage
    {
        SessionId Session { get; }
    }

    /// <summary>Engine to coordinator.</summary>
    public interface ICommand : IMessage;

    /// <summary>A command that gets exactly one answer, <see cref="IReply"/> with the same id.</summary>
    public interface IRequest : ICommand
    {
        RequestId Request { get; }

        /// <summary>The engine has seen the answers to all its requests up to this one.</summary>
        RequestId AckedThrough { get; }
    }

    /// <summary>Coordinator to engine: the answer to a request.</summary>
    public interface IReply : IMessage
    {
        RequestId Request { get; }
    }

    /// <summary>Coordinator to engine: what it must know without having asked.</summary>
    public interface IEvent : IMessage;

    /// <summary>Opens a session, or renews its lease; sent again at every third of the lease. Replies: <see cref="SessionOpened"/>, <see cref="SessionRefused"/>.</summary>
    /// <param name="Session">A fresh id that the engine made.</param>
    /// <param name="EngineName">For people; 1 to 64 characters.</param>
    /// <param name="Domain">The domain that the engine means to reach.</param>
    public sealed record OpenSession(SessionId Session, string EngineName, string Domain) : ICommand;

    /// <param name="Session">The session.</param>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Lease">The session ends when it isn't renewed for so long.</param>
    public sealed record SessionOpened(SessionId Session, Epoch Epoch, TimeSpan Lease) : IEvent;

    public sealed record SessionRefused(SessionId Session, Refusal Refusal) : IEvent;

    /// <summary>Ends a session at once: its pools are closed and their memory returned.</summary>
    public sealed record CloseSession(SessionId Session) : ICommand;

    public sealed record SessionClosed(SessionId Session) : IEvent;

    /// <summary>
    /// Gateway to coordinator, never from an engine itself: the process that had the session has ended, which ends the lease at once. No reply.
    /// </summary>
    public sealed record SessionDied(SessionId Session) : ICommand;

    /// <summary>Opens a pool. Replies: <see cref="PoolOpened"/>, <see cref="RequestRefused"/>.</summary>
    public sealed record OpenPool(SessionId Session, RequestId Request, RequestId AckedThrough, PoolSpec Spec) : IRequest;

    /// <param name="Session">The session.</param>
    /// <param name="Request">The request answered.</param>
    /// <param name="Pool">The pool's id from now on.</param>
    /// <param name="Extents">What is mapped already; empty for a new pool.</param>
    public sealed record PoolOpened(SessionId Session, RequestId Request, PoolId Pool, ImmutableArray<Extent> Extents) : IReply;

    /// <summary>Closes a pool and returns all its memory. Replies: <see cref="PoolClosed"/>, <see cref="RequestRefused"/>.</summary>
    /// <param name="Session">The session.</param>
    /// <param name="Request">The request.</param>
    /// <param name="AckedThrough">Watermark of answers seen.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Fence">The last engine step that uses the pool: no worker unmaps any of it before it has completed that step, and all work that it has submitted.</param>
    public sealed record ClosePool(SessionId Session, RequestId Request, RequestId AckedThrough, PoolId Pool, EngineStep Fence = default) : IRequest;

    public sealed record PoolClosed(SessionId Session, RequestId Request, PoolId Pool) : IReply;

    /// <summary>
    /// Asks for pages of one KV group. All come, on every rank, or none. Replies: <see cref="PagesAllocated"/>, <see cref="RequestRefused"/>.
    /// </summary>
    /// <param name="Session">The session.</param>
    /// <param name="Request">The request.</param>
    /// <param name="AckedThrough">Watermark of answers seen.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Group">Index of the KV group.</param>
    /// <param name="PageCount">Pages wanted, from 1.</param>
    /// <param name="Deadline">How long the engine waits; the answer comes by then. Up to 5 minutes.</param>
    public sealed record AllocatePages(
        SessionId Session, RequestId Request, RequestId AckedThrough, PoolId Pool, int Group, int PageCount, TimeSpan Deadline) : IRequest;

    /// <summary>The pages are mapped on every rank.</summary>
    public sealed record PagesAllocated(SessionId Session, RequestId Request, PoolId Pool, ImmutableArray<Extent> Extents) : IReply;

    /// <summary>Gives extents back. Replies: <see cref="ExtentsFreed"/>, <see cref="RequestRefused"/>.</summary>
    /// <param name="Session">The session.</param>
    /// <param name="Request">The request.</param>
    /// <param name="AckedThrough">Watermark of answers seen.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Extents">The extents, none of whose blocks is in use.</param>
    /// <param name="Fence">The last engine step that used any of them: no worker unmaps them before it has completed that step.</param>
    public sealed record FreeExtents(
        SessionId Session, RequestId Request, RequestId AckedThrough, PoolId Pool, ImmutableArray<Extent> Extents, EngineStep Fence) : IRequest;

    public sealed record ExtentsFreed(SessionId Session, RequestId Request, PoolId Pool) : IReply;

    /// <summary>The request was refused and nothing changed.</summary>
    public sealed record RequestRefused(SessionId Session, RequestId Request, Refusal Refusal) : IReply;

    /// <summary>Tells the coordinator what could be given up: all warm extents of a pool, replacing the last report. No reply.</summary>
    public sealed record ReportWarmExtents(SessionId Session, PoolId Pool, ImmutableArray<IdleExtent> Extents) : ICommand;

    /// <summary>Another pool needs memory: give these up if no block of them is in use. Answer: <see cref="RevokeAnswered"/>.</summary>
    public sealed record RevokeExtents(SessionId Session, PoolId Pool, long RevokeId, ImmutableArray<Extent> Extents) : IEvent;

    /// <summary>
    /// Another pool that is below its share needs memory, and this one is above its own: give so much up, the cheapest whole extents first, cached blocks
    /// among them. What can't be given up at once may follow until the deadline. Answers: <see cref="RevokeAnswered"/>, as often as something goes.
    /// </summary>
    /// <param name="Session">The session.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="ShrinkId">Names the question in answers; never that of a revoke.</param>
    /// <param name="Wanted">Bytes wanted on each GPU that is short; an extent counts for all of them.</param>
    /// <param name="Deadline">How long the other pool waits.</param>
    public sealed record ShrinkRequested(SessionId Session, PoolId Pool, long ShrinkId, ImmutableArray<GpuBytes> Wanted, TimeSpan Deadline) : IEvent;

    /// <summary>Which extents the engine gave up for a revoke or a shrink; the others are in use or were gone. No reply.</summary>
    /// <param name="Session">The session.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="RevokeId">The question answered.</param>
    /// <param name="GivenUp">Extents that the engine has let go of.</param>
    /// <param name="Fence">The last engine step that used any of them.</param>
    public sealed record RevokeAnswered(SessionId Session, PoolId Pool, long RevokeId, ImmutableArray<Extent> GivenUp, EngineStep Fence) : ICommand;

    /// <summary>
    /// These are mapped, but the coordinator doesn't know whether the engine has been told so: an earlier coordinator may have answered otherwise.
    /// Asked again until each is answered. Answer: <see cref="ExtentsChecked"/>, or <see cref="ClosePool"/> when the engine has no such pool and isn't
    /// opening any.
    /// </summary>
    /// <param name="Session">The session.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="Extents">The extents, each with the request that it was granted to.</param>
    public sealed record CheckExtents(SessionId Session, PoolId Pool, Epoch Epoch, ImmutableArray<GrantedExtent> Extents) : IEvent;

    /// <summary>
    /// Which of the extents the engine holds, and which it never will: not held, on no way back, and granted to no request that still waits
    /// for its answer. Those in neither list aren't decided yet, and are asked about again. No reply.
    /// </summary>
    /// <param name="Session">The session.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="Epoch">Epoch of the question.</param>
    /// <param name="Held">Extents whose blocks the engine uses, or may use.</param>
    /// <param name="Unknown">Extents that may be unmapped.</param>
    public sealed record ExtentsChecked(
        SessionId Session, PoolId Pool, Epoch Epoch, ImmutableArray<Extent> Held, ImmutableArray<Extent> Unknown) : ICommand;

    /// <summary>The pool is gone without the engine having closed it; its blocks must not be used any more.</summary>
    public sealed record PoolWithdrawn(SessionId Session, PoolId Pool, Refusal Refusal) : IEvent;
}

/// <summary>A mapped extent with no used block.</summary>
/// <param name="Extent">The extent.</param>
/// <param name="Idle">How long it has had none.</param>
public readonly record struct IdleExtent(Extent Extent, TimeSpan Idle);

/// <summary>Bytes on one GPU.</summary>
public readonly record struct GpuBytes(GpuId Gpu, long ByteCount);

/// <summary>A mapped extent and the request that it answered.</summary>
/// <param name="Extent">The extent.</param>
/// <param name="Request">The request; default when its answer was acknowledged, or when it was another session's.</param>
public readonly record struct GrantedExtent(Extent Extent, RequestId Request);
