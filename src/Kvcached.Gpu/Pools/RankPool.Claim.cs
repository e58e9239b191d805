using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Pools;

public sealed partial class RankPool
{
    /// <summary>Checks the extents and takes their page ids; takes none when any is refused.</summary>
    private MapResult.Refused? Claim(ReadOnlySpan<Extent> extents, Adoption? adoption)
    {
        if (_isClosing)
        {
            return new MapResult.Refused(MapRefusal.PoolClosed, extents.IsEmpty ? default : extents[0], $"{Id} is closed.");
        }

        for (var i = 0; i < extents.Length; i++)
        {
            var extent = extents[i];
            var refused = FindFault(extent) ?? (adoption is null ? null : FindFault(extent, adoption));
            if (refused is null && !_taken.TryAdd(extent, out var owner))
            {
                var state = _quarantined.ContainsKey(owner) ? "quarantined" : "mapped or named twice";
                refused = new MapResult.Refused(MapRefusal.Overlap, extent, $"{extent} overlaps {owner}, which is {state}.");
            }

            if (refused is not null)
            {
                foreach (var claimed in extents[..i])
                {
                    _taken.Remove(claimed);
                }

                return refused;
            }
        }

        return null;
    }

    private MapResult.Refused? FindFault(in Extent extent)
    {
        if (!extent.IsWellFormed || extent.Generation == 0)
        {
            return new MapResult.Refused(MapRefusal.InvalidExtent, extent, $"{extent} is malformed: aligned to its size, and of generation 1 or above, it must be.");
        }

        return extent.Group >= Layout.GroupCount || extent.EndPage > Geometry.VirtualPageCounts[extent.Group]
            ? new MapResult.Refused(MapRefusal.InvalidExtent, extent, $"{extent} lies beyond the virtual pages of {Id}.")
            : null;
    }

    private MapResult.Refused? FindFault(in Extent extent, Adoption adoption)
    {
        var unitCount = Layout.UnitsOf(extent.Group).Length;
        if (adoption.Descriptors.Length != unitCount)
        {
            return new MapResult.Refused(
                MapRefusal.WrongDescriptorCount, extent, $"{extent} has {unitCount} mapping units; {adoption.Descriptors.Length} descriptors were handed in.");
        }

        var identity = adoption.Identity;
        var isKnown = _mapped.Values.Concat(_quarantined.Values).Any(m => m.Memory.Creator == identity.Creator && m.Memory.Serial == identity.Serial);
        if (isKnown || identity.Generation != extent.Generation || identity.Serial < 1)
        {
            return new MapResult.Refused(
                MapRefusal.WrongIdentity, extent, $"{identity} {(isKnown ? "was adopted before" : "doesn't name the memory of")} {extent}.");
        }

        return unitCount > _store.Descriptors.LimitCount - _store.Descriptors.UsedCount
            ? new MapResult.Refused(MapRefusal.DescriptorsExhausted, extent, _store.Descriptors.Explain(unitCount))
            : null;
    }
}
