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

    /// <summary>What the driver didn't release, of memory that isn't kept any more.</summary>
    private readonly Dictionary<(HostIncarnation Creator, long Serial), ImmutableArray<MemoryHandle>> _refused = [];

    /// <summary>Extents whose memory is kept.</summary>
    public int Count => _kept.Count;

    /// <summary>Extents of whose memory the driver didn't release everything.</summary>
    public int RefusedCount => _refused.Count;

    public void Keep(LentExtent lent, ImmutableArray<MemoryHandle> imported) => _kept[KeyOf(lent)] = imported;

    /// <summary>Takes out what is kept of that memory; null when there is none.</summary>
    public ImmutableArray<MemoryHandle>? Take(LentExtent lent) => _kept.Remove(KeyOf(lent), out var imported) ? imported : null;

    /// <summary>Releases what there is of that memory. False when the driver keeps some of it; then it is to be tried again.</summary>
    public bool TryLetGo(LentExtent lent) => TryRelease(KeyOf(lent), Take(lent) ?? []);

    /// <summary>Releases all; what the driver keeps is tried again by <see cref="RetryRefused"/>.</summary>
    public void LetGoOfAll()
    {
        foreach (var (key, imported) in _kept.ToArray())
        {
            _kept.Remove(key);
            TryRelease(key, imported);
        }
    }

    public void RetryRefused()
    {
        foreach (var key in _refused.Keys.ToArray())
        {
            TryRelease(key, []);
        }
    }

    /// <summary>Releases these handles, and what was refused earlier of the same memory.</summary>
    private bool TryRelease((HostIncarnation, long) key, ImmutableArray<MemoryHandle> handles)
    {
        _refused.Remove(key, out var earlier);
        var refused = ImmutableArray.CreateBuilder<MemoryHandle>();
        foreach (var handle in earlier.IsDefault ? handles : handles.AddRange(earlier))
        {
            try
            {
                memory.Release(handle);
            }
            catch (VirtualMemoryException)
            {
                refused.Add(handle);
            }
        }

        if (refused.Count > 0)
        {
            _refused[key] = refused.ToImmutable();
        }

        return refused.Count == 0;
    }

    private static (HostIncarnation Creator, long Serial) KeyOf(LentExtent lent) => (lent.Identity.Creator, lent.Identity.Serial);
}
