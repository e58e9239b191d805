namespace Kvcached.Gpu.Memory;

/// <summary>One reserved range and what is mapped in it, by address; answers the questions that CUDA's rules ask.</summary>
internal sealed class ReservedRange<TMapping>(nint baseAddress, long byteCount)
    where TMapping : IRangeMapping
{
    private readonly SortedList<nint, TMapping> _mappings = [];

    internal nint BaseAddress => baseAddress;

    internal long ByteCount => byteCount;

    /// <summary>True when addresses without a mapping read as zeroes.</summary>
    internal bool IsReadable { get; init; }

    internal bool IsEmpty => _mappings.Count == 0;

    internal bool Contains(nint address, long bytes) =>
        address >= baseAddress && bytes > 0 && bytes <= byteCount && address - baseAddress <= byteCount - bytes;

    /// <summary>True when nothing is mapped in the range.</summary>
    internal bool IsFree(nint address, long bytes)
    {
        var next = FirstAtOrAfter(address);
        var startsBeyond = next == _mappings.Count || _mappings.Keys[next] >= address + (nint)bytes;
        var endsBefore = next == 0 || EndOf(next - 1) <= address;
        return startsBeyond && endsBefore;
    }

    internal void Add(TMapping mapping) => _mappings.Add(mapping.Address, mapping);

    internal void Remove(TMapping mapping) => _mappings.Remove(mapping.Address);

    /// <summary>The whole, adjoining mappings that make up exactly this range; empty when it isn't made up so.</summary>
    internal List<TMapping> WholeMappings(nint address, long bytes)
    {
        var found = new List<TMapping>();
        var position = address;
        for (var i = FirstAtOrAfter(address); i < _mappings.Count && position < address + (nint)bytes; i++)
        {
            if (_mappings.Keys[i] != position)
            {
                return [];
            }

            found.Add(_mappings.Values[i]);
            position = EndOf(i);
        }

        return position == address + (nint)bytes ? found : [];
    }

    private nint EndOf(int index) => _mappings.Keys[index] + (nint)_mappings.Values[index].ByteCount;

    private int FirstAtOrAfter(nint address)
    {
        var low = 0;
        var high = _mappings.Count;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_mappings.Keys[middle] < address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}

/// <summary>One piece of memory at one address.</summary>
internal interface IRangeMapping
{
    nint Address { get; }

    long ByteCount { get; }
}
