namespace Kvcached.Gpu.Copying;

/// <summary>Why a copier didn't do what it was asked. Nothing has changed then.</summary>
public enum CopierRefusal : byte
{
    /// <summary>Something was asked before <see cref="CopierProtocol.Hello"/>, or that was said twice.</summary>
    OutOfTurn = 1,

    /// <summary>The two sides speak different versions.</summary>
    VersionMismatch = 2,

    /// <summary>The copier was started for another backend or GPU.</summary>
    WrongDevice = 3,

    /// <summary>No such pool is attached.</summary>
    UnknownPool = 4,

    /// <summary>The pool is attached already.</summary>
    PoolAttached = 5,

    /// <summary>The copier holds as many pools as it takes.</summary>
    TooManyPools = 6,

    /// <summary>The geometry breaks a rule.</summary>
    BadGeometry = 7,

    /// <summary>The extent isn't well formed or lies outside its group.</summary>
    BadExtent = 8,

    /// <summary>Page ids of the extent are mapped already.</summary>
    ExtentOverlaps = 9,

    /// <summary>No extent with these page ids is mapped.</summary>
    UnknownExtent = 10,

    /// <summary>These page ids are mapped for another generation.</summary>
    StaleExtent = 11,

    /// <summary>The number of descriptors isn't that of the group's mapping units.</summary>
    WrongDescriptorCount = 12,

    /// <summary>A descriptor holds no memory of the right kind and size.</summary>
    BadDescriptor = 13,

    /// <summary>The pool has no such KV group.</summary>
    UnknownGroup = 14,

    /// <summary>A block is out of range, straddles two pages, or is named twice.</summary>
    BadBlock = 15,

    /// <summary>A block lies in no mapped extent.</summary>
    BlockNotMapped = 16,

    /// <summary>Memory or address space ran out.</summary>
    OutOfMemory = 17,

    /// <summary>The driver or the operating system failed.</summary>
    DeviceFailed = 18,
}
