namespace Kvcached.Core.Geometry;

/// <summary>
/// A region of a rank's arena whose extents are mapped one by one: some layers and buffers of one KV group. An extent has one
/// memory handle per mapping unit of its group.
/// </summary>
/// <param name="Index">Position in <see cref="ArenaLayout.Units"/>.</param>
/// <param name="Group">Index of the KV group.</param>
/// <param name="FirstLayer">First layer that it covers, counted within the group on this rank.</param>
/// <param name="LayerCount">Layers that it covers.</param>
/// <param name="FirstBuffer">First buffer that it covers.</param>
/// <param name="BufferCount">Buffers that it covers.</param>
/// <param name="ArenaOffset">Where the region starts in the arena, in bytes.</param>
/// <param name="BytesPerPage">Bytes of one page id in this region.</param>
/// <param name="BlockStride">Bytes from one block to the next in this region.</param>
/// <param name="VirtualPageCount">Pages that the region has room for.</param>
public sealed record MappingUnit(
    int Index,
    int Group,
    int FirstLayer,
    int LayerCount,
    int FirstBuffer,
    int BufferCount,
    long ArenaOffset,
    long BytesPerPage,
    long BlockStride,
    int VirtualPageCount)
{
    /// <summary>Virtual bytes of the region.</summary>
    public long ByteCount => BytesPerPage * VirtualPageCount;

    /// <summary>Bytes that an extent of this many pages takes here: the size of its one memory handle.</summary>
    public long BytesOf(in Paging.Extent extent) => BytesPerPage * extent.PageCount;

    /// <summary>Where an extent of this unit's group starts in the arena, in bytes.</summary>
    public long OffsetOf(in Paging.Extent extent) => ArenaOffset + (BytesPerPage * extent.First.Value);
}
