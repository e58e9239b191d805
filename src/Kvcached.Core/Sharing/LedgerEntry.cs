using Kvcached.Core.Ids;

namespace Kvcached.Core.Sharing;

/// <summary>One pool's account on one GPU, in bytes.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="LimitBytes">What it may hold at most.</param>
/// <param name="FloorBytes">What others leave to it, used or not.</param>
/// <param name="Weight">Its share of what no floor claims, relative to the others'; above 0.</param>
/// <param name="UsedBytes">Granted to it and mapped, warm extents included.</param>
/// <param name="ReservedBytes">Set aside for a grant that is under way.</param>
/// <param name="QuarantinedBytes">Taken from it, but perhaps still mapped somewhere.</param>
/// <param name="WarmBytes">Of the used, what its scheduler last reported as holding no used or cached block.</param>
/// <param name="EarmarkedBytes">Set aside for a request of it that waits for memory to come free.</param>
public readonly record struct LedgerEntry(
    PoolId Pool,
    long LimitBytes,
    long FloorBytes,
    double Weight,
    long UsedBytes,
    long ReservedBytes,
    long QuarantinedBytes,
    long WarmBytes,
    long EarmarkedBytes)
{
    /// <summary>Memory that nobody else can have now: used, reserved and quarantined.</summary>
    public long HeldBytes => UsedBytes + ReservedBytes + QuarantinedBytes;

    /// <summary>What others have to leave to this pool, earmarks aside.</summary>
    public long ClaimedBytes => Math.Max(HeldBytes, FloorBytes);

    /// <summary>True when the limit was lowered below what the pool holds: no more grants, and it should shrink.</summary>
    public bool IsAboveLimit => HeldBytes > LimitBytes;
}
