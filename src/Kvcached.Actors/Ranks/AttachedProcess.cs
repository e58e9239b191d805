using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Ranks;

/// <summary>An engine worker that may hold memory of a rank, and the pool that it is of: what the next life of the host must know.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="Rank">Its rank on this GPU.</param>
/// <param name="Spec">What was opened.</param>
/// <param name="Owner">The session that owns it.</param>
/// <param name="Epoch">The epoch that was followed then.</param>
/// <param name="Worker">The worker.</param>
/// <param name="Process">Its process.</param>
internal sealed record AttachedProcess(
    PoolId Pool, int Rank, PoolSpec Spec, SessionId Owner, Epoch Epoch, WorkerIncarnation Worker, ProcessIdentity Process);
