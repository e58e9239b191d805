using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>Puts what a page pool answers into the words of decisions.</summary>
internal static class RankRefusals
{
    public static Refusal Of(OpenRankPoolResult.Refused refused) => new(
        refused.Reason switch
        {
            OpenRefusal.InvalidGeometry or OpenRefusal.InvalidRank => RefusalReason.BadGeometry,
            OpenRefusal.InvalidFloor => RefusalReason.BadLimit,
            OpenRefusal.OtherGeometry or OpenRefusal.Closing => RefusalReason.NameInUse,
            OpenRefusal.FloorExceedsCapacity => RefusalReason.FloorDoesNotFit,
            OpenRefusal.OutOfMemory => RefusalReason.OutOfMemory,
            OpenRefusal.NotFound => RefusalReason.UnknownPool,
            _ => RefusalReason.DriverFailed,
        },
        refused.Text);

    public static Refusal Of(MapResult result, GpuId gpu) => result switch
    {
        MapResult.OutOfMemory { Facts: var facts } => new Refusal(
            RefusalReason.OutOfMemory,
            $"{gpu}: {ByteSize.Format(facts.RequestedBytes)} wanted, {ByteSize.Format(facts.AvailableBytes)} available of {ByteSize.Format(facts.CapacityBytes)} lent"
            + (facts.IsDeviceShort ? "; the device has no more, something else uses it." : "."),
            facts.RequestedBytes, facts.AvailableBytes),
        MapResult.AwaitsWorkers => new Refusal(RefusalReason.Busy, $"{gpu}: the memory is on its way back from workers that kept it imported. Try again."),
        MapResult.DriverFailed failed => new Refusal(RefusalReason.DriverFailed, failed.Text),
        MapResult.Refused { Reason: MapRefusal.DescriptorsExhausted } refused => new Refusal(RefusalReason.Busy, refused.Text),
        MapResult.Refused refused => new Refusal(RefusalReason.StaleExtent, refused.Text),
        _ => throw new ArgumentOutOfRangeException(nameof(result), result, "This is no refusal."),
    };
}
