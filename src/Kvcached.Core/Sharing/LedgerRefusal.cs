using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Core.Sharing;

/// <summary>Why a GPU's ledger refused.</summary>
public enum LedgerRefusalReason : byte
{
    /// <summary>An amount is negative, not above 0 where it has to be, or a weight is no number above 0.</summary>
    BadAmount = 1,

    /// <summary>The ledger has no such pool.</summary>
    UnknownPool,

    /// <summary>The pool has an account already.</summary>
    AlreadyAdmitted,

    /// <summary>The limit is below the floor.</summary>
    LimitBelowFloor,

    /// <summary>All floors together would exceed what the GPU can lend. Reclaiming doesn't help.</summary>
    FloorsExceedCapacity,

    /// <summary>Others hold what the floor needs now. Reclaiming helps.</summary>
    FloorInUse,

    /// <summary>The pool would hold more than its limit.</summary>
    LimitReached,

    /// <summary>Not enough is free beyond what others hold, and their floors and earlier earmarks. Reclaiming may help.</summary>
    NotEnoughFree,

    /// <summary>The pool has less of that kind than it should give up.</summary>
    NotHeld,

    /// <summary>The pool still holds memory.</summary>
    StillHolds,

    /// <summary>Pools could have it, but others use the device and leave no room for it. Reclaiming helps unless there is too little room already.</summary>
    DeviceShort,
}

/// <summary>What a pool holds on the GPU in question, and how much of it could be taken back.</summary>
public readonly record struct LedgerHolder(PoolId Pool, long HeldBytes, long WarmBytes, long FloorBytes);

/// <summary>A refusal with the facts that explain it. Nothing was changed.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Gpu">The GPU.</param>
/// <param name="Pool">The pool that asked.</param>
/// <param name="RequestedBytes">What it asked for.</param>
/// <param name="FreeBytes">What this pool could have had, its limit aside.</param>
/// <param name="LimitBytes">The pool's limit; 0 when it has no account.</param>
/// <param name="Holders">Everyone who holds or is owed memory there, the greatest first.</param>
public sealed record LedgerRefusal(
    LedgerRefusalReason Reason,
    GpuId Gpu,
    PoolId Pool,
    long RequestedBytes,
    long FreeBytes,
    long LimitBytes,
    ImmutableArray<LedgerHolder> Holders)
{
    public override string ToString() =>
        $"{Pool} was refused {ByteSize.Format(RequestedBytes)} on {Gpu}: {Reason}; {ByteSize.Format(FreeBytes)} free to it, limit {ByteSize.Format(LimitBytes)}"
        + (Holders.IsDefaultOrEmpty ? "." : $"; held: {string.Join(", ", Holders.Select(h => $"{h.Pool} {ByteSize.Format(h.HeldBytes)}"))}.");
}
