namespace Kvcached.Core.Paging;

/// <summary>Tags of blocks, each in a place of fixed size; grows by doubling and reuses places, so that it settles.</summary>
internal sealed class TagStore(int maxTagBytes)
{
    private byte[] _bytes = [];
    private byte[] _lengths = [];
    private int[] _blocks = [];
    private int[] _unusedPlaces = [];
    private int _unusedCount;

    /// <summary>Tags kept.</summary>
    public int Count { get; private set; }

    /// <summary>Places that there are, used or not, numbered from 0.</summary>
    public int PlaceCount { get; private set; }

    /// <summary>Keeps a tag of 1 to the largest allowed number of bytes, and says where.</summary>
    public int Add(int block, ReadOnlySpan<byte> tag)
    {
        if (_unusedCount == 0 && PlaceCount == _lengths.Length)
        {
            var capacity = Math.Max(64, PlaceCount * 2);
            Array.Resize(ref _bytes, checked(capacity * maxTagBytes));
            Array.Resize(ref _lengths, capacity);
            Array.Resize(ref _blocks, capacity);
            Array.Resize(ref _unusedPlaces, capacity);
        }

        var place = _unusedCount > 0 ? _unusedPlaces[--_unusedCount] : PlaceCount++;
        _blocks[place] = block;
        Replace(place, tag);
        Count++;
        return place;
    }

    public void Replace(int place, ReadOnlySpan<byte> tag)
    {
        tag.CopyTo(_bytes.AsSpan(place * maxTagBytes, maxTagBytes));
        _lengths[place] = (byte)tag.Length;
    }

    public void Remove(int place)
    {
        _lengths[place] = 0;
        _unusedPlaces[_unusedCount++] = place;
        Count--;
    }

    /// <summary>The tag kept at a place; empty when none is.</summary>
    public ReadOnlySpan<byte> TagAt(int place) => _bytes.AsSpan(place * maxTagBytes, _lengths[place]);

    /// <summary>The block whose tag is kept at a place that is in use.</summary>
    public int BlockAt(int place) => _blocks[place];
}
