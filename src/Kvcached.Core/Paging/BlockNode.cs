using System.Runtime.InteropServices;

namespace Kvcached.Core.Paging;

internal enum BlockState : byte
{
    Free = 0,
    Used,
    Cached,

    /// <summary>Passed the check of the operation that is under way, which ends before anyone else looks.</summary>
    Leaving,
}

/// <summary>What is known of one block. A free block is in its extent's list, a cached one in the list by age.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct BlockNode
{
    /// <summary>Neighbours in the list, or -1. Without meaning outside a list.</summary>
    public int Next;
    public int Previous;

    /// <summary>Where the tag is kept, plus 1; 0 = no tag.</summary>
    public int TagPlace;
    public BlockState State;
}
