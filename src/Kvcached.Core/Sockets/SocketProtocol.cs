using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Sockets;

/// <summary>Which conversation an engine process means to have.</summary>
public enum EngineRole : byte
{
    /// <summary><see cref="Engines.EngineProtocol"/>.</summary>
    Scheduler = 1,

    /// <summary><see cref="Workers.WorkerProtocol"/>.</summary>
    Worker = 2,
}

/// <summary>
/// What is said over an engine socket besides the conversations of schedulers and workers: how a connection begins, and the files that keep the
/// tags of a pool's blocks.
/// </summary>
public static class SocketProtocol
{
    public interface IMessage;

    /// <summary>
    /// Engine to host, first of all and once. Replies: <see cref="Welcome"/>, <see cref="Rejected"/>. One descriptor may come along: a process
    /// descriptor (pidfd) of the sender itself, for hosts whose kernel can't tell them.
    /// </summary>
    /// <param name="LowestVersion">Lowest version of the protocol that the sender speaks, from 1.</param>
    /// <param name="HighestVersion">Highest one.</param>
    /// <param name="Role">Which conversation follows.</param>
    /// <param name="LibraryVersion">For people: what the sender is.</param>
    /// <param name="ProcessId">The sender's process as it sees itself; its namespace may be another than the host's.</param>
    public sealed record Hello(int LowestVersion, int HighestVersion, EngineRole Role, string LibraryVersion, int ProcessId) : IMessage;

    /// <summary>Host to engine: the conversation may begin.</summary>
    /// <param name="Version">The version that both speak from here on: the highest in common.</param>
    /// <param name="Host">This life of the host.</param>
    /// <param name="Gpu">Its GPU.</param>
    /// <param name="Domain">Its domain.</param>
    /// <param name="Backend">What it lends, <c>cuda</c> or <c>host</c>.</param>
    /// <param name="GranularityBytes">The smallest size and alignment that its driver maps.</param>
    /// <param name="ServerVersion">For people: what the host is.</param>
    public sealed record Welcome(
        int Version, HostIncarnation Host, GpuId Gpu, string Domain, string Backend, long GranularityBytes, string ServerVersion) : IMessage;

    /// <summary>Host to engine: the host closes the connection, and why. Nothing follows it.</summary>
    public sealed record Rejected(Refusal Refusal) : IMessage;

    /// <summary>
    /// Scheduler to host, with one descriptor: keep this memory file, which holds the tags of the pool's blocks, for whoever opens the pool next.
    /// Replaces what was kept before. No reply.
    /// </summary>
    /// <param name="Session">The session that has the pool open.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="FileBytes">Size of the file, 1 to <see cref="SocketLimits.MaxTagBytes"/>.</param>
    public sealed record KeepTags(SessionId Session, PoolId Pool, long FileBytes) : IMessage;

    /// <summary>
    /// Host to scheduler, with one descriptor: the file that the last scheduler of this pool left. Comes before the
    /// <see cref="Engines.EngineProtocol.PoolOpened"/> that hands the pool over.
    /// </summary>
    /// <param name="Session">The session that opens the pool.</param>
    /// <param name="Pool">The pool.</param>
    /// <param name="FileBytes">Size of the file.</param>
    public sealed record PoolTags(SessionId Session, PoolId Pool, long FileBytes) : IMessage;
}
