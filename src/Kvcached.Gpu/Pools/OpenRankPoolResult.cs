namespace Kvcached.Gpu.Pools;

/// <summary>Outcome of <see cref="PagePool.Open"/>.</summary>
public abstract record OpenRankPoolResult
{
    private OpenRankPoolResult()
    {
    }

    /// <summary>The pool is open, now or from before.</summary>
    public sealed record Opened(RankPool Pool) : OpenRankPoolResult;

    /// <summary>Nothing was opened and nothing changed.</summary>
    public sealed record Refused(OpenRefusal Reason, string Text) : OpenRankPoolResult;
}

/// <summary>Why a pool was not opened, or its floor not changed.</summary>
public enum OpenRefusal
{
    /// <summary>The geometry breaks a rule.</summary>
    InvalidGeometry,

    /// <summary>The geometry has no such rank, or that rank is on another GPU.</summary>
    InvalidRank,

    /// <summary>The floor is negative or above the capacity.</summary>
    InvalidFloor,

    /// <summary>The id is taken by a pool of another geometry, rank or target.</summary>
    OtherGeometry,

    /// <summary>The pool is being closed.</summary>
    Closing,

    /// <summary>There is no such pool.</summary>
    NotFound,

    /// <summary>Memory in use and other floors leave too little for this floor.</summary>
    FloorExceedsCapacity,

    /// <summary>The device has too little left for this floor.</summary>
    OutOfMemory,

    /// <summary>A driver call failed.</summary>
    DriverFailed,
}
