using System.Collections.Immutable;
using Kvcached.Core.Checking;

namespace Kvcached.Copier.Working;

/// <summary>A batch of stamps and where their blocks lie; all of them are mapped.</summary>
/// <param name="ArenaAddress">Where the pool's arena starts.</param>
/// <param name="Key">Key of the pool, rank and group.</param>
/// <param name="BlockBytes">Bytes of a block in one buffer of one layer.</param>
/// <param name="Lanes">The group's layers and buffers.</param>
/// <param name="Stamps">The stamps.</param>
internal sealed record StampWork(
    nint ArenaAddress, StampKey Key, long BlockBytes, ImmutableArray<StampLane> Lanes, ImmutableArray<BlockStamp> Stamps)
{
    /// <summary>Words that the batch covers, over all layers and buffers.</summary>
    public long WordCount
    {
        get
        {
            var places = new StampPlaces(BlockBytes);
            var whole = Stamps.Count(s => s.Whole);
            var words = (whole * places.PlaceCount(isWhole: true)) + ((Stamps.Length - whole) * places.PlaceCount(isWhole: false));
            return checked(words * Lanes.Length);
        }
    }
}
