using Kvcached.Core.Geometry;
using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Memory;

/// <summary>
/// Keeps one read-only piece of zeroes mapped wherever an arena has no memory, for backends that can't reserve readable addresses. A driver maps a
/// piece whole, once per place: a page id costs one mapping per unit and <see cref="MaxPieceBytes"/>, and the places of an extent are bare from the
/// moment that the zeroes go until its memory is accessible, and likewise when it leaves. Used by one thread.
/// </summary>
public sealed class ZeroGuard
{
    /// <summary>A piece is physical memory of the device, so pages that are larger take several mappings of a smaller one.</summary>
    public const long MaxPieceBytes = 64L << 20;

    private readonly IVirtualMemory _memory;
    private readonly nint _baseAddress;
    private readonly Dictionary<long, MemoryHandle> _pieces = [];
    private readonly Dictionary<nint, long> _mapped = [];
    private readonly Dictionary<nint, long> _bare = [];

    /// <summary>Puts zeroes everywhere in a reserved range that has the size of a layout.</summary>
    /// <exception cref="VirtualMemoryException">The driver refuses, or the device has too little left for the zeroes; nothing of them stays, as far as the driver allows.</exception>
    public ZeroGuard(IVirtualMemory memory, ArenaLayout layout, nint baseAddress)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(layout);
        (_memory, _baseAddress) = (memory, baseAddress);
        try
        {
            foreach (var unit in layout.Units)
            {
                var bytes = PieceBytes(unit.BytesPerPage, memory.GranularityBytes);
                if (!_pieces.ContainsKey(bytes))
                {
                    _pieces.Add(bytes, Create(bytes));
                }

                var start = baseAddress + (nint)unit.ArenaOffset;
                for (nint offset = 0; offset < (nint)unit.ByteCount; offset += (nint)bytes)
                {
                    Put(start + offset, bytes);
                }
            }
        }
        catch (VirtualMemoryException)
        {
            TryRemove();
            throw;
        }
    }

    /// <summary>Physical bytes that the zeroes take of the device.</summary>
    public long ByteCount => _pieces.Keys.Sum();

    /// <summary>Places that should read as zeroes and don't, because the driver refused; tried again with the next extent that leaves.</summary>
    public int BareCount => _bare.Count;

    /// <summary>Bytes of the piece for pages of a size: the largest share of it of at most <see cref="MaxPieceBytes"/> that divides it.</summary>
    public static long PieceBytes(long pageBytes, long granularityBytes)
    {
        var count = Math.Max(1, (pageBytes + MaxPieceBytes - 1) / MaxPieceBytes);
        while (pageBytes % count != 0 || pageBytes / count % granularityBytes != 0)
        {
            count++;
        }

        return pageBytes / count;
    }

    /// <summary>Takes the zeroes away where memory is to be mapped.</summary>
    /// <exception cref="VirtualMemoryException">The driver keeps some of them; <see cref="Cover"/> puts the others back.</exception>
    public void Uncover(MappingUnit unit, in Extent extent)
    {
        foreach (var (address, bytes) in PlacesOf(unit, extent))
        {
            if (_mapped.ContainsKey(address))
            {
                _memory.Unmap(address, bytes);
                _mapped.Remove(address);
            }

            _bare.Remove(address);
        }
    }

    /// <summary>Puts zeroes where nothing is mapped any more; where they are already, nothing happens. What the driver refuses stays bare for now.</summary>
    public void Cover(MappingUnit unit, in Extent extent)
    {
        foreach (var (address, bytes) in PlacesOf(unit, extent))
        {
            if (!_mapped.ContainsKey(address))
            {
                _bare[address] = bytes;
            }
        }

        foreach (var (address, bytes) in _bare.ToArray())
        {
            try
            {
                Put(address, bytes);
                _bare.Remove(address);
            }
            catch (VirtualMemoryException)
            {
                // A driver that refuses one will refuse the next; there will be another time.
                return;
            }
        }
    }

    /// <summary>Takes all zeroes away, so that the range can be given back. False while the driver keeps some.</summary>
    public bool TryRemove()
    {
        _bare.Clear();
        try
        {
            foreach (var (address, bytes) in _mapped.ToArray())
            {
                _memory.Unmap(address, bytes);
                _mapped.Remove(address);
            }

            foreach (var (bytes, handle) in _pieces.ToArray())
            {
                _memory.Release(handle);
                _pieces.Remove(bytes);
            }

            return true;
        }
        catch (VirtualMemoryException)
        {
            return false;
        }
    }

    private MemoryHandle Create(long bytes) => _memory.TryCreate(bytes, out var handle)
        ? handle
        : throw new VirtualMemoryException(
            VirtualMemoryOperation.Create, "cuMemCreate", DriverCode.OutOfMemory, _memory.Gpu, bytes, "Nothing is left for the zeroes under unmapped pages");

    private void Put(nint address, long bytes)
    {
        var isMapped = _mapped.ContainsKey(address);
        if (!isMapped)
        {
            _memory.Map(address, bytes, 0, _pieces[bytes]);
            _mapped.Add(address, bytes);
        }

        // What writes where nothing is mapped must not leave its mark for all others to read.
        _memory.SetAccess(address, bytes, MemoryAccess.Read);
    }

    private IEnumerable<(nint Address, long Bytes)> PlacesOf(MappingUnit unit, Extent extent)
    {
        var bytes = PieceBytes(unit.BytesPerPage, _memory.GranularityBytes);
        var start = _baseAddress + (nint)unit.OffsetOf(extent);
        for (nint offset = 0; offset < (nint)unit.BytesOf(extent); offset += (nint)bytes)
        {
            yield return (start + offset, bytes);
        }
    }
}
