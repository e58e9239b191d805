namespace Kvcached.Core.Sockets;

/// <summary>
/// What a frame of the engine socket carries. The upper byte says in which conversation (0 = opening, 1 = scheduler, 2 = worker), bit 7 that
/// the host is the sender.
/// </summary>
public enum SocketMessageType : ushort
{
    None = 0,

    Hello = 0x0001,
    Welcome = 0x0081,
    Rejected = 0x0082,

    OpenSession = 0x0101,
    CloseSession = 0x0102,
    OpenPool = 0x0103,
    ClosePool = 0x0104,
    AllocatePages = 0x0105,
    FreeExtents = 0x0106,
    ReportWarmExtents = 0x0107,
    RevokeAnswered = 0x0108,
    KeepTags = 0x0109,
    ExtentsChecked = 0x010A,

    SessionOpened = 0x0181,
    SessionRefused = 0x0182,
    SessionClosed = 0x0183,
    PoolOpened = 0x0184,
    PoolClosed = 0x0185,
    PagesAllocated = 0x0186,
    ExtentsFreed = 0x0187,
    RequestRefused = 0x0188,
    RevokeExtents = 0x0189,
    PoolWithdrawn = 0x018A,
    PoolTags = 0x018B,
    CheckExtents = 0x018C,
    ShrinkRequested = 0x018D,

    AttachRank = 0x0201,
    OperationDone = 0x0202,
    StuckReleased = 0x0203,
    Detach = 0x0204,

    RankAttached = 0x0281,
    AttachRefused = 0x0282,
    Operate = 0x0283,
    PoolGone = 0x0284,
    TableComplete = 0x0285,
}

/// <summary>What follows from a message's type alone.</summary>
public static class SocketMessageTypes
{
    /// <summary>True for what a host says; false for what an engine process says.</summary>
    public static bool IsFromHost(this SocketMessageType type) => ((ushort)type & 0x80) != 0;

    /// <summary>The conversation that the type belongs to; null for the opening.</summary>
    public static EngineRole? RoleOf(this SocketMessageType type) => ((ushort)type >> 8) switch
    {
        1 => EngineRole.Scheduler,
        2 => EngineRole.Worker,
        _ => null,
    };

    /// <summary>
    /// True when so many descriptors may come with a message of that type. How many a list of extents takes exactly depends on its pool; that is
    /// for the receiver to check.
    /// </summary>
    public static bool AllowsDescriptors(this SocketMessageType type, int count) => type switch
    {
        SocketMessageType.AttachRank or SocketMessageType.Operate => count is >= 0 and <= SocketLimits.MaxMessageDescriptors,
        SocketMessageType.KeepTags or SocketMessageType.PoolTags => count == 1,
        SocketMessageType.Hello => count is 0 or 1,
        _ => count == 0,
    };
}
