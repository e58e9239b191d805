using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <content>One pool on a rank.</content>
internal sealed partial class SimulatedRank
{
    /// <summary>One pool on this rank.</summary>
    internal sealed class Pool(PoolReplica replica)
    {
        private readonly ArenaLayout _layout = ArenaLayout.Create(replica.Spec.Geometry, replica.Rank);

        public PoolReplica Replica { get; } = replica;

        public HashSet<Extent> Mapped { get; } = [];

        public HashSet<Extent> Quarantined { get; } = [];

        public bool NeedsWorker => Replica.Spec.Target == PoolTarget.Worker;

        public RankWorker Worker { get; set; }

        /// <summary>Its worker lives, may write to all that it has mapped, and can't be told to unmap it.</summary>
        public bool IsWorkerOutOfReach { get; set; }

        public bool IsWorkerAlive => NeedsWorker && (Worker == RankWorker.Attached || IsWorkerOutOfReach);

        /// <summary>What a worker keeps of the pool when its host dies: whatever it has mapped, of which nobody knows whose request it was.</summary>
        public Pool Kept()
        {
            var replica = new PoolReplica(Replica.Pool, Replica.Rank, Replica.Spec, Replica.Owner, default);
            ImmutableArray<Extent> held = [.. Mapped, .. Quarantined];
            if (Replica.HighestGeneration > 0)
            {
                // The worker hands over the highest generation that it has mapped, too; a replica hears of it by a table.
                replica.Installed(default, 0, [new TableEntry(new Extent(0, new PageId(0), 0, Replica.HighestGeneration), default, default)], []);
            }

            replica.Installed(default, 0, [.. held.Select(e => new TableEntry(e, default, default))], []);
            var kept = new Pool(replica) { Worker = RankWorker.Gone, IsWorkerOutOfReach = true };
            kept.Mapped.UnionWith(held);
            return kept;
        }

        public long Bytes(IEnumerable<Extent> extents) => extents.Sum(e => _layout.BytesOf(e));
    }
}
