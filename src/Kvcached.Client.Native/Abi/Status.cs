using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Native.Abi;

/// <summary>The codes of kvcached.h; refusals are <see cref="Refused"/> plus the reason.</summary>
internal enum Status
{
    Ok = 0,
    InvalidArgument = 1,
    BadHandle = 2,
    Forked = 3,
    Internal = 4,
    BufferTooSmall = 5,
    NotThere = 6,
    NoBlocks = 20,
    Foreign = 21,
    Stale = 22,
    DoubleFree = 23,
    NotCached = 24,
    NotFree = 25,
    NotTagged = 26,
    BadTag = 27,
    TagMismatch = 28,
    Refused = 100,
}

/// <summary>Turns the library's own refusals into codes.</summary>
internal static class StatusOf
{
    public static Status Refusal(RefusalReason reason) => Status.Refused + (int)reason;

    public static Status Fault(BlockFaultKind kind) => kind switch
    {
        BlockFaultKind.None => Status.Ok,
        BlockFaultKind.Foreign => Status.Foreign,
        BlockFaultKind.Stale => Status.Stale,
        BlockFaultKind.DoubleFree => Status.DoubleFree,
        BlockFaultKind.NotCached => Status.NotCached,
        BlockFaultKind.NotFree => Status.NotFree,
        BlockFaultKind.NotTagged => Status.NotTagged,
        BlockFaultKind.BadTag => Status.BadTag,
        _ => Status.Internal,
    };
}
