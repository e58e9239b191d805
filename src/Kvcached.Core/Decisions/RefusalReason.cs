namespace Kvcached.Core.Decisions;

/// <summary>Why a request was refused. Nothing changed because of a refused request.</summary>
public enum RefusalReason : byte
{
    /// <summary>No pool with that id or name in this domain; it may have been closed.</summary>
    UnknownPool = 1,

    /// <summary>No host of this domain lends memory of that GPU.</summary>
    UnknownGpu = 2,

    /// <summary>The session was never opened here, was closed, or its lease ended.</summary>
    UnknownSession = 3,

    /// <summary>The geometry breaks a rule, or its ranks disagree.</summary>
    BadGeometry = 4,

    /// <summary>A pool of that name is open with another geometry, or by a session that still lives.</summary>
    NameInUse = 5,

    /// <summary>The floors of all pools would exceed what a GPU can lend.</summary>
    FloorDoesNotFit = 6,

    /// <summary>Limit, floor or weight are out of range.</summary>
    BadLimit = 7,

    /// <summary>The grant would take the pool above its limit.</summary>
    LimitExceeded = 8,

    /// <summary>A GPU has too little free memory, and nobody gave enough up in time.</summary>
    OutOfMemory = 9,

    /// <summary>A count or index is negative, zero or too large.</summary>
    InvalidCount = 10,

    /// <summary>The pool's virtual page ids are all taken or blocked.</summary>
    VirtualSpaceExhausted = 11,

    /// <summary>The request id was used before, for something else.</summary>
    RequestIdReused = 12,

    /// <summary>The message belongs to an older epoch than the highest seen.</summary>
    StaleEpoch = 13,

    /// <summary>The message belongs to a process that has been replaced.</summary>
    StaleIncarnation = 14,

    /// <summary>A rank of the pool can't be reached, or is still recovering.</summary>
    RankUnavailable = 15,

    /// <summary>Not all ranks answered before the request's deadline.</summary>
    DeadlineExceeded = 16,

    /// <summary>The driver refused a call on a rank.</summary>
    DriverFailed = 17,

    /// <summary>An extent isn't mapped in this pool, or its generation is another.</summary>
    StaleExtent = 18,

    /// <summary>The pool is stopped while its table is installed anew.</summary>
    PoolStopped = 19,

    /// <summary>The coordinator has just taken over and is still collecting what the ranks hold.</summary>
    Recovering = 20,

    /// <summary>More requests wait for this pool than are allowed.</summary>
    Busy = 21,

    /// <summary>The decision was aborted before this rank saw it.</summary>
    Aborted = 22,

    /// <summary>The domain asked for isn't the one that was reached.</summary>
    UnknownDomain = 23,

    /// <summary>The pool's memory on a rank is gone with that rank's host.</summary>
    PoolLost = 24,

    /// <summary>The backend or the pool's target can't do what was asked.</summary>
    NotSupported = 25,

    /// <summary>A rank of the pool has no worker attached, so that nothing can be mapped for it.</summary>
    NotAttached = 26,

    /// <summary>A living worker is attached to that rank already.</summary>
    AlreadyAttached = 27,

    /// <summary>The two sides share no version of the protocol.</summary>
    UnsupportedVersion = 28,

    /// <summary>The worker runs on another device than the one whose host it reached.</summary>
    WrongDevice = 29,

    /// <summary>The process on the other side isn't allowed to do this.</summary>
    NotAllowed = 30,

    /// <summary>The host can't be reached, or the connection to it was lost in mid-request.</summary>
    HostUnreachable = 31,

    /// <summary>The message makes no sense here: of the wrong kind, or out of turn.</summary>
    InvalidMessage = 32,

    /// <summary>Programs other than pools use so much of a GPU that nothing more is lent there beyond floors.</summary>
    DeviceShort = 33,

    /// <summary>An operator has the GPU drained: nothing new is lent there.</summary>
    Draining = 34,
}
