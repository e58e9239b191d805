namespace Kvcached.Actors.Coordination;

/// <summary>Where a pool is in its life.</summary>
internal enum PoolPhase
{
    /// <summary>Its ranks are reserving their arenas; no grants yet.</summary>
    Opening,

    /// <summary>Its ranks are being told of its new owner; no grants until all know it.</summary>
    Reopening,

    /// <summary>Found on ranks by a new coordinator that doesn't know yet what all of them hold.</summary>
    Recovering,

    /// <summary>Its table is being installed on all ranks; no grants until all have it.</summary>
    Stopped,

    /// <summary>Decisions may be made.</summary>
    Ready,

    /// <summary>The host of a rank has ended, but not the worker that has its pages mapped: the host is awaited.</summary>
    Stranded,

    /// <summary>A rank's memory is gone; nothing of the rest is unmapped before its engine has closed it.</summary>
    Lost,

    /// <summary>Its ranks are releasing it.</summary>
    Closing,
}
