using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Memory;

namespace Kvcached.Client.Arenas;

/// <summary>
/// Memory that is imported in this process and mapped nowhere, for when the host lends it again: importing and the first map of an import cost more than
/// all other calls of a map. Used by one thread.
/// </summary>
internal sealed class KeptImports(IVirtualMemory memory)
{
    private readonly Dictionary<(HostIncarnation Creator, long Serial), ImmutableArray<MemoryHandle>> _kept = [];
    private readonly List<MemoryHandle> _refused = [];

    /// <summary>Extents whose memory is kept.</summary>
    public int Count => _kept.Count;

    /// <summary>Handles that the driver didn't release.</summary>
    public int RefusedCount => _refused.Count;

    public void Keep(LentExtent lent, ImmutableArray<MemoryHandle> imported) => _kept[KeyOf(lent)] = imported;

    /// <summary>Takes out what is kept of that memory; null when there is none.</summary>
    public ImmutableArray<MemoryHandle>? Take(LentExtent lent) => _kept.Remove(KeyOf(lent), out var imported) ? imported : null;

    /// <summary>Releases what is kept of that memory. False when the driver didn't release all of it; then it is tried again with everything else.</summary>
    public bool TryLetGo(LentExtent lent) => Take(lent) is not { } imported || Release(imported);

    /// <summary>Releases all; what the driver keeps is tried again by <see cref="RetryRefused"/>.</summary>
    public void LetGoOfAll()
    {
        foreach (var imported in _kept.Values)
        {
            Release(imported);
        }

        _kept.Clear();
    }

    public void RetryRefused()
    {
        var again = _refused.ToImmutableArray();
        _refused.Clear();
        Release(again);
    }

    private bool Release(ImmutableArray<MemoryHandle> handles)
    {
        var before = _refused.Count;
        foreach (var handle in handles)
        {
            try
            {
                memory.Release(handle);
            }
            catch (VirtualMemoryException)
            {
                _refused.Add(handle);
            }
        }

        return _refused.Count == before;
    }

    private static (HostIncarnation Creator, long Serial) KeyOf(LentExtent lent) => (lent.Identity.Creator, lent.Identity.Serial);
}
