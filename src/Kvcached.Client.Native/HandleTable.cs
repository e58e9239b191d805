namespace Kvcached.Client.Native;

/// <summary>
/// Numbers by which C code names objects. A number is never used twice, and those of another process don't fit, so that a stale or foreign one is
/// found out. Looking one up takes no lock.
/// </summary>
internal sealed class HandleTable
{
    private const int PlaceBits = 20;
    private const ulong PlaceMask = (1UL << PlaceBits) - 1;
    private readonly Lock _lock = new();
    private Entry?[] _entries = new Entry?[64];
    private ulong _next;

    /// <param name="firstSerial">Where this process begins to count; null = anywhere.</param>
    public HandleTable(ulong? firstSerial = null)
    {
        Span<byte> random = stackalloc byte[16];
        _ = Guid.NewGuid().TryWriteBytes(random);
        _next = (firstSerial ?? BitConverter.ToUInt64(random)) | 1;
    }

    /// <summary>Gives an object a number, which is not 0.</summary>
    /// <exception cref="InvalidOperationException">There are a million already.</exception>
    public ulong Add(object target)
    {
        lock (_lock)
        {
            var place = Array.IndexOf(_entries, null);
            if (place < 0)
            {
                place = _entries.Length;
                if (place > (int)PlaceMask)
                {
                    throw new InvalidOperationException("There are too many open sessions, pools and arenas in this process; close some.");
                }

                var larger = new Entry?[place * 2];
                _entries.CopyTo(larger, 0);
                Volatile.Write(ref _entries, larger);
            }

            var handle = (_next++ << PlaceBits) | (uint)place;
            handle = handle == 0 ? (_next++ << PlaceBits) | (uint)place : handle;
            Volatile.Write(ref _entries[place], new Entry(handle, target));
            return handle;
        }
    }

    /// <summary>The object of that number, if it is one of this type.</summary>
    public T? Find<T>(ulong handle)
        where T : class
    {
        var entries = Volatile.Read(ref _entries);
        var place = handle & PlaceMask;
        return place < (ulong)entries.Length && Volatile.Read(ref entries[place]) is { } entry && entry.Handle == handle
            ? entry.Target as T
            : null;
    }

    /// <summary>Takes a number back: of several callers one gets the object.</summary>
    public T? Remove<T>(ulong handle)
        where T : class
    {
        lock (_lock)
        {
            var found = Find<T>(handle);
            if (found is not null)
            {
                Volatile.Write(ref _entries[handle & PlaceMask], null);
            }

            return found;
        }
    }

    private sealed record Entry(ulong Handle, object Target);
}
