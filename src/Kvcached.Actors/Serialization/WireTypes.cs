using System.Collections.Frozen;
using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// Every type of ours that may cross the wire, and its name there. What isn't listed is neither written nor read; a new message is
/// added here and bound in <c>hocon/serialization.conf</c>.
/// </summary>
public static class WireTypes
{
    /// <summary>Messages that a grant, a return or a check waits for, with their manifests. Written by <see cref="HotPathSerializer"/>.</summary>
    public static FrozenDictionary<Type, string> HotPath { get; } = new Dictionary<Type, string>
    {
        [typeof(RankProtocol.Decide)] = HotPathManifests.Decide,
        [typeof(RankProtocol.DecideTraced)] = HotPathManifests.DecideTraced,
        [typeof(RankProtocol.InstallTable)] = HotPathManifests.InstallTable,
        [typeof(RankProtocol.Decided)] = HotPathManifests.Decided,
        [typeof(RankProtocol.QuarantineCleared)] = HotPathManifests.QuarantineCleared,
        [typeof(EngineProtocol.OpenSession)] = HotPathManifests.OpenSession,
        [typeof(EngineProtocol.SessionOpened)] = HotPathManifests.SessionOpened,
        [typeof(EngineProtocol.AllocatePages)] = HotPathManifests.AllocatePages,
        [typeof(EngineProtocol.PagesAllocated)] = HotPathManifests.PagesAllocated,
        [typeof(EngineProtocol.FreeExtents)] = HotPathManifests.FreeExtents,
        [typeof(EngineProtocol.ExtentsFreed)] = HotPathManifests.ExtentsFreed,
        [typeof(EngineProtocol.RequestRefused)] = HotPathManifests.RequestRefused,
        [typeof(EngineProtocol.ReportWarmExtents)] = HotPathManifests.ReportWarmExtents,
        [typeof(EngineProtocol.RevokeExtents)] = HotPathManifests.RevokeExtents,
        [typeof(EngineProtocol.ShrinkRequested)] = HotPathManifests.ShrinkRequested,
        [typeof(EngineProtocol.RevokeAnswered)] = HotPathManifests.RevokeAnswered,
        [typeof(EngineProtocol.CheckExtents)] = HotPathManifests.CheckExtents,
        [typeof(EngineProtocol.ExtentsChecked)] = HotPathManifests.ExtentsChecked,
        [typeof(DataCheckProtocol.WriteStamps)] = HotPathManifests.WriteStamps,
        [typeof(DataCheckProtocol.VerifyStamps)] = HotPathManifests.VerifyStamps,
        [typeof(DataCheckProtocol.StampsDone)] = HotPathManifests.StampsDone,
        [typeof(DataCheckProtocol.StampsFailed)] = HotPathManifests.StampsFailed,
    }.ToFrozenDictionary();

    /// <summary>Rare messages of many shapes, with their manifests. Written by <see cref="ControlSerializer"/>.</summary>
    public static FrozenDictionary<Type, string> Control { get; } = new Dictionary<Type, string>
    {
        [typeof(RankProtocol.RegisterRank)] = ControlManifests.RegisterRank,
        [typeof(RankProtocol.ReportRank)] = ControlManifests.ReportRank,
        [typeof(RankProtocol.RankRejected)] = ControlManifests.RankRejected,
        [typeof(RankProtocol.RankReported)] = ControlManifests.RankReported,
        [typeof(RankProtocol.EpochRefused)] = ControlManifests.EpochRefused,
        [typeof(RankProtocol.OpenRankPool)] = ControlManifests.OpenRankPool,
        [typeof(RankProtocol.CloseRankPool)] = ControlManifests.CloseRankPool,
        [typeof(RankProtocol.RankPoolAnswer)] = ControlManifests.RankPoolAnswer,
        [typeof(RankProtocol.WorkerChanged)] = ControlManifests.WorkerChanged,
        [typeof(EngineProtocol.SessionRefused)] = ControlManifests.SessionRefused,
        [typeof(EngineProtocol.CloseSession)] = ControlManifests.CloseSession,
        [typeof(EngineProtocol.SessionClosed)] = ControlManifests.SessionClosed,
        [typeof(EngineProtocol.SessionDied)] = ControlManifests.SessionDied,
        [typeof(EngineProtocol.OpenPool)] = ControlManifests.OpenPool,
        [typeof(EngineProtocol.PoolOpened)] = ControlManifests.PoolOpened,
        [typeof(EngineProtocol.ClosePool)] = ControlManifests.ClosePool,
        [typeof(EngineProtocol.PoolClosed)] = ControlManifests.PoolClosed,
        [typeof(EngineProtocol.PoolWithdrawn)] = ControlManifests.PoolWithdrawn,
        [typeof(DomainProtocol.DescribeDomain)] = ControlManifests.DescribeDomain,
        [typeof(DomainProtocol.DomainDescription)] = ControlManifests.DomainDescription,
        [typeof(RankProtocol.KeepPolicies)] = ControlManifests.KeepPolicies,
        [typeof(RankProtocol.PoliciesKept)] = ControlManifests.PoliciesKept,
        [typeof(OperatorProtocol.ChangePolicy)] = ControlManifests.ChangePolicy,
        [typeof(OperatorProtocol.PolicyChanged)] = ControlManifests.PolicyChanged,
        [typeof(OperatorProtocol.TrimPool)] = ControlManifests.TrimPool,
        [typeof(OperatorProtocol.DrainGpu)] = ControlManifests.DrainGpu,
        [typeof(OperatorProtocol.GpuDrained)] = ControlManifests.GpuDrained,
        [typeof(RankProtocol.SetDraining)] = ControlManifests.SetDraining,
        [typeof(OperatorProtocol.PoolTrimmed)] = ControlManifests.PoolTrimmed,
        [typeof(OperatorProtocol.ReadEvents)] = ControlManifests.ReadEvents,
        [typeof(OperatorProtocol.EventsRead)] = ControlManifests.EventsRead,
        [typeof(OperatorProtocol.OperatorRefused)] = ControlManifests.OperatorRefused,
    }.ToFrozenDictionary();

    /// <summary>Types that occur inside control messages, themselves no messages. Primitives, text and Guid need no listing.</summary>
    public static ImmutableArray<Type> ControlParts { get; } =
    [
        typeof(EngineStep),
        typeof(Epoch),
        typeof(GpuId),
        typeof(HostIncarnation),
        typeof(PageId),
        typeof(PoolId),
        typeof(RequestId),
        typeof(SessionId),
        typeof(Extent),
        typeof(TableEntry),
        typeof(Refusal),
        typeof(RefusalReason),
        typeof(PoolSpec),
        typeof(PoolTarget),
        typeof(PoolGeometry),
        typeof(KvLayout),
        typeof(RankShape),
        typeof(KvGroupShape),
        typeof(KvGroupKind),
        typeof(RankPoolReport),
        typeof(RankWorker),
        typeof(LaneOffer),
        typeof(DomainProtocol.GpuDescription),
        typeof(DomainProtocol.PoolDescription),
        typeof(DomainProtocol.DomainCounters),
        typeof(DomainProtocol.PoolOnGpu),
        typeof(PoolPolicy),
        typeof(GpuPolicy),
        typeof(DeviceShare),
        typeof(PolicyChange),
        typeof(PolicyOutcome),
        typeof(MemoryAmount),
        typeof(MemoryUnit),
        typeof(DomainEvent),
        typeof(DrainedPool),
    ];

    /// <summary>Element types of the lists inside control messages.</summary>
    public static ImmutableArray<Type> ControlListItems { get; } =
    [
        typeof(int),
        typeof(long),
        typeof(GpuId),
        typeof(Extent),
        typeof(TableEntry),
        typeof(RankShape),
        typeof(KvGroupShape),
        typeof(RankPoolReport),
        typeof(DomainProtocol.GpuDescription),
        typeof(DomainProtocol.PoolDescription),
        typeof(DomainProtocol.PoolOnGpu),
        typeof(PoolPolicy),
        typeof(GpuPolicy),
        typeof(string),
        typeof(DomainEvent),
        typeof(DrainedPool),
    ];
}
