using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Pools;

/// <summary>
/// The physical memory of one extent: one handle per mapping unit of its group. It belongs to one pool from creation to release,
/// and backs extents of one group and order, one after another.
/// </summary>
internal sealed class ExtentMemory(PoolAccount owner, HostIncarnation creator, long serial, int group, byte order, int unitCount)
{
    internal PoolAccount Owner => owner;

    internal HostIncarnation Creator => creator;

    internal long Serial => serial;

    internal int Group => group;

    internal byte Order => order;

    internal MemoryPiece[] Pieces { get; } = new MemoryPiece[unitCount];

    /// <summary>Bytes of the handles still held.</summary>
    internal long HeldBytes
    {
        get
        {
            var bytes = 0L;
            foreach (var piece in Pieces)
            {
                bytes += piece.IsHeld ? piece.ByteCount : 0;
            }

            return bytes;
        }
    }

    /// <summary>The extent that it backed last; meaningful once it is unused.</summary>
    internal Extent LastExtent { get; set; }

    /// <summary>
    /// True while the pool's worker may have it imported though nothing of it is mapped. It isn't gone before the worker has let go of it, whatever is
    /// released here.
    /// </summary>
    internal bool IsImported { get; set; }

    /// <summary>True once it was given out by <see cref="RankPool.TakeWanted"/>.</summary>
    internal bool IsAskedBack { get; set; }

    /// <summary>When it was last put on a shelf, by the pool's clock.</summary>
    internal long ShelvedAt { get; set; }

    /// <summary>Its place on a shelf by age; null when it is on none.</summary>
    internal LinkedListNode<ExtentMemory>? ByAge { get; set; }

    /// <summary>Its place on a shelf among those of its shape.</summary>
    internal LinkedListNode<ExtentMemory>? ByShape { get; set; }
}

/// <summary>One handle, and the file descriptor by which it is shared.</summary>
internal struct MemoryPiece
{
    internal MemoryHandle Handle;
    internal long ByteCount;
    internal bool IsHeld;

    /// <summary>Made when first asked for and kept: imported memory can't be exported again, so adoption needs the descriptor itself.</summary>
    internal SafeFileHandle? Descriptor;
}
