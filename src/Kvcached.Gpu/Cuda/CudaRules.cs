using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Cuda;

/// <summary>
/// What this process has reserved, created and mapped, so that calls that make no sense are refused before the driver sees them. The driver
/// itself lets some of them pass (measured on an H100, driver 580): a mapping larger than its memory or past the end of its reservation,
/// which then can't be undone, and unmapping where nothing is mapped.
/// </summary>
internal sealed class CudaRules
{
    private readonly Lock _gate = new();
    private readonly SortedList<nint, ReservedRange<Mapping>> _ranges = [];
    private readonly Dictionary<ulong, (long ByteCount, int HoldCount)> _handles = [];

    public void Reserved(nint address, long byteCount)
    {
        lock (_gate)
        {
            _ranges.Add(address, new ReservedRange<Mapping>(address, byteCount));
        }
    }

    public void Freed(nint address)
    {
        lock (_gate)
        {
            _ranges.Remove(address);
        }
    }

    public void Held(MemoryHandle handle, long byteCount)
    {
        lock (_gate)
        {
            // Importing in the process that created the memory may give the same handle once more.
            var holds = _handles.TryGetValue(handle.Value, out var known) ? known.HoldCount : 0;
            _handles[handle.Value] = (byteCount, holds + 1);
        }
    }

    public void Released(MemoryHandle handle)
    {
        lock (_gate)
        {
            if (_handles.TryGetValue(handle.Value, out var known) && known.HoldCount > 1)
            {
                _handles[handle.Value] = (known.ByteCount, known.HoldCount - 1);
            }
            else
            {
                _handles.Remove(handle.Value);
            }
        }
    }

    /// <summary>True when the handle is known, has that size, and the range is reserved and free.</summary>
    public bool CanMap(nint address, long byteCount, MemoryHandle handle)
    {
        lock (_gate)
        {
            return _handles.TryGetValue(handle.Value, out var known) && known.ByteCount == byteCount
                && Find(address, byteCount) is { } range && range.IsFree(address, byteCount);
        }
    }

    public void Mapped(nint address, long byteCount)
    {
        lock (_gate)
        {
            Find(address, byteCount)!.Add(new Mapping(address, byteCount));
        }
    }

    /// <summary>True when the range is made of one or more whole, adjoining mappings.</summary>
    public bool IsMapped(nint address, long byteCount)
    {
        lock (_gate)
        {
            return Find(address, byteCount) is { } range && range.WholeMappings(address, byteCount).Count > 0;
        }
    }

    public void Unmapped(nint address, long byteCount)
    {
        lock (_gate)
        {
            var range = Find(address, byteCount)!;
            foreach (var mapping in range.WholeMappings(address, byteCount))
            {
                range.Remove(mapping);
            }
        }
    }

    /// <summary>The reservation that holds all of the range.</summary>
    private ReservedRange<Mapping>? Find(nint address, long byteCount)
    {
        // Reservations are few: one per pool.
        foreach (var range in _ranges.Values)
        {
            if (range.Contains(address, byteCount))
            {
                return range;
            }
        }

        return null;
    }

    internal readonly record struct Mapping(nint Address, long ByteCount) : IRangeMapping;
}
