using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;

namespace Kvcached.Client.Sessions;

/// <summary>What a pool needs of its session.</summary>
internal interface ISessionPort
{
    TimeProvider Time { get; }

    LeaseFence Lease { get; }

    /// <summary>Why the session ended; null while it lives.</summary>
    Refusal? Ended { get; }

    TimeSpan CloseTimeout { get; }

    /// <summary>True on the thread that answers requests, which must therefore not wait for an answer.</summary>
    bool IsOwnThread { get; }

    /// <summary>Has a request sent until it is answered. When the session has ended, it is refused at once.</summary>
    void Submit(PendingRequest request);

    /// <summary>Has the upkeep of pools done soon.</summary>
    void Wake();

    /// <summary>The pool hears no more of grants, revokes and its end.</summary>
    void Forget(PoolId pool);
}
