namespace Kvcached.Core.Paging;

/// <summary>Why an extent was refused. Nothing was changed.</summary>
public enum ExtentFault : byte
{
    /// <summary>It was not refused.</summary>
    None = 0,

    /// <summary>No aligned run of page ids of this space: order, alignment or end is out of range.</summary>
    Malformed,

    /// <summary>It belongs to another KV group, or has a generation that this pool never gave out.</summary>
    Foreign,

    /// <summary>Its page ids are held under another generation or as another extent: this grant has ended.</summary>
    Stale,

    /// <summary>Nobody holds its page ids: it has been returned already, or was never granted.</summary>
    NotHeld,

    /// <summary>Its page ids are blocked until every rank has let go of them.</summary>
    Quarantined,

    /// <summary>Some of its page ids are taken.</summary>
    Overlaps,
}
