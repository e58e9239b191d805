using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>A block and the tag by which the engine knows its content.</summary>
public readonly ref struct TaggedBlock(BlockId block, ReadOnlySpan<byte> tag)
{
    public BlockId Block { get; } = block;

    /// <summary>1 to <see cref="BlockAllocator.MaxTagBytes"/> bytes.</summary>
    public ReadOnlySpan<byte> Tag { get; } = tag;
}

/// <summary>Walks the tagged blocks of an allocator without copying them.</summary>
public ref struct TaggedBlocks
{
    private readonly TagStore _tags;
    private int _place;

    internal TaggedBlocks(TagStore tags)
    {
        _tags = tags;
        _place = -1;
    }

    public readonly TaggedBlock Current => new(new BlockId(_tags.BlockAt(_place)), _tags.TagAt(_place));

    public readonly TaggedBlocks GetEnumerator() => this;

    public bool MoveNext()
    {
        while (++_place < _tags.PlaceCount)
        {
            if (_tags.TagAt(_place).Length > 0)
            {
                return true;
            }
        }

        return false;
    }
}
