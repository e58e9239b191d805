using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Replication;

/// <summary>
/// One rank's copy of a pool's table: judges each decision before anything is mapped, and keeps the answers so that a decision that comes
/// twice is carried out once. Lives as long as the rank's memory of the pool. Not thread-safe.
/// </summary>
public sealed class PoolReplica
{
    /// <summary>How many answers are kept for decisions that come again.</summary>
    public const int KeptAnswers = 256;

    private readonly Dictionary<(int Group, int Page), TableEntry> _entries = [];
    private readonly Queue<(SessionId Session, RequestId Request, Extent Extent)> _unacked = new();
    private readonly ReplicaAnswer[] _answers = new ReplicaAnswer[KeptAnswers];
    private long _firstAnswer = 1;

    public PoolReplica(PoolId pool, int rank, PoolSpec spec, SessionId owner, Epoch epoch)
    {
        Pool = pool;
        Rank = rank;
        Spec = spec;
        Owner = owner;
        Epoch = epoch;
        Table = new PageTable(spec.Geometry.VirtualPageCounts);
    }

    public PoolId Pool { get; }

    public int Rank { get; }

    public PoolSpec Spec { get; }

    /// <summary>The session that owns it; another one may take the pool over.</summary>
    public SessionId Owner { get; set; }

    /// <summary>Epoch of the decisions that are followed.</summary>
    public Epoch Epoch { get; private set; }

    /// <summary>Last decision of that epoch that was taken in.</summary>
    public long LastSeq { get; private set; }

    /// <summary>What is mapped here.</summary>
    public PageTable Table { get; }

    /// <summary>The highest generation that any decision or table named, whether it was mapped or not; 0 = none.</summary>
    public uint HighestGeneration { get; private set; }

    /// <summary>The latest fence of any decision or table: no extent that has left the table was used after that step.</summary>
    public EngineStep Fence { get; private set; }

    /// <summary>What is mapped here, with the requests that it answered.</summary>
    public ImmutableArray<TableEntry> Entries => [.. _entries.Values];

    /// <summary>Says what to do about a decision. Decides nothing itself: the caller reports how it went.</summary>
    public ReplicaStep Judge(Decision decision)
    {
        if (decision.Epoch != Epoch)
        {
            return Standing(decision.Epoch < Epoch ? DecisionOutcome.StaleEpoch : DecisionOutcome.NeedsTable);
        }

        if (decision.Seq <= LastSeq)
        {
            return new ReplicaStep(ReplicaAction.Answer, [], AnswerOf(decision.Seq));
        }

        // An abort may overtake the map that it undoes, or follow one that was lost: the map is then refused for good.
        var mayFollow = decision.Kind == DecisionKind.Abort && decision.AbortedSeq == LastSeq + 1 && decision.Seq == LastSeq + 2;
        if (decision.Seq != LastSeq + 1 && !mayFollow)
        {
            return Standing(DecisionOutcome.Gap);
        }

        Acknowledge(decision.Session, decision.AckedThrough);
        Notice(decision.Extents);
        Honour(decision.Fence);
        return decision.Kind switch
        {
            DecisionKind.Map => JudgeMap(decision),

            // All of them, in the table or not: a map that failed halfway may have left some quarantined.
            DecisionKind.Unmap or DecisionKind.Abort => new ReplicaStep(ReplicaAction.Unmap, decision.Extents, default),
            _ => Refuse(decision, new Refusal(RefusalReason.NotSupported, $"There is no decision of kind {(int)decision.Kind}.")),
        };
    }

    /// <summary>
    /// The rank begins anew with what its worker has kept: whose requests it answered isn't known any more, nor by which step what leaves it was used last.
    /// </summary>
    /// <param name="held">What the worker holds; the table is empty before.</param>
    /// <param name="highestEpoch">The highest epoch that the worker followed.</param>
    /// <param name="highestGeneration">The highest generation that it ever mapped.</param>
    /// <returns>An extent that can't be in a table with the others, with nothing taken in; null when all were.</returns>
    public Extent? Adopt(ImmutableArray<Extent> held, Epoch highestEpoch, uint highestGeneration)
    {
        for (var i = 0; i < held.Length; i++)
        {
            if (Table.Add(held[i]) != ExtentFault.None)
            {
                foreach (var entered in held.AsSpan()[..i])
                {
                    Table.Remove(entered);
                }

                return held[i];
            }
        }

        foreach (var extent in held)
        {
            _entries[(extent.Group, extent.First.Value)] = new TableEntry(extent, default, default);
        }

        Notice(held);
        Honour(EngineStep.Sync);
        HighestGeneration = Math.Max(HighestGeneration, highestGeneration);
        Epoch = highestEpoch > Epoch ? highestEpoch : Epoch;
        return null;
    }

    /// <summary>Undoes <see cref="Adopt"/>: the memory behind it could not be taken over.</summary>
    public void Disown()
    {
        Table.Clear();
        _entries.Clear();
    }

    /// <summary>Takes note of a fence that came with a table.</summary>
    public void Honour(EngineStep fence) => Fence = EngineStep.Later(Fence, fence);

    /// <summary>The map was carried out.</summary>
    /// <param name="decision">The map.</param>
    /// <param name="applied">Digest that the worker shows which mapped it; null where this process did.</param>
    public ReplicaAnswer Mapped(Decision decision, LayoutDigest? applied = null)
    {
        foreach (var extent in decision.Extents)
        {
            Enter(new TableEntry(extent, decision.Session, decision.Request));
        }

        return Take(decision.Seq, new ReplicaAnswer(DecisionOutcome.Applied, applied ?? Table.Digest, null, []));
    }

    /// <summary>The map could not be carried out, and nothing of it is left.</summary>
    public ReplicaAnswer MapRefused(Decision decision, Refusal refusal) =>
        Take(decision.Seq, new ReplicaAnswer(DecisionOutcome.Refused, Table.Digest, refusal, []));

    /// <summary>The unmap or abort was carried out, but for what is quarantined.</summary>
    /// <param name="decision">The unmap or abort.</param>
    /// <param name="quarantined">What could not be unmapped.</param>
    /// <param name="applied">Digest that the worker shows which unmapped the rest; null where this process did, or no worker answered.</param>
    public ReplicaAnswer Unmapped(Decision decision, ImmutableArray<Extent> quarantined, LayoutDigest? applied = null)
    {
        foreach (var extent in decision.Extents)
        {
            Remove(extent);
        }

        if (decision.Kind == DecisionKind.Abort && decision.AbortedSeq > LastSeq)
        {
            // The tombstone: when the map comes after all, this is its answer.
            Take(decision.AbortedSeq, new ReplicaAnswer(
                DecisionOutcome.Refused, Table.Digest, new Refusal(RefusalReason.Aborted, $"Decision {decision.AbortedSeq} of {Pool} was aborted before it came."), []));
        }

        return Take(decision.Seq, new ReplicaAnswer(DecisionOutcome.Applied, applied ?? Table.Digest, null, quarantined));
    }

    /// <summary>What must be unmapped and what mapped so that this rank holds exactly these entries.</summary>
    public (ImmutableArray<Extent> Unmap, ImmutableArray<Extent> Map) PlanInstall(ImmutableArray<TableEntry> entries)
    {
        var wanted = entries.Select(e => e.Extent).ToHashSet();
        return ([.. Table.Enumerate().Where(e => !wanted.Contains(e))], [.. wanted.Where(e => !Table.Contains(e))]);
    }

    /// <summary>The table was installed: decisions go on after it.</summary>
    /// <param name="epoch">Epoch of the table.</param>
    /// <param name="seq">The decision that it stands for.</param>
    /// <param name="entries">The table.</param>
    /// <param name="quarantined">What could not be unmapped.</param>
    /// <param name="applied">Digest that the worker shows; null where this process maps the pages, or no worker answered.</param>
    public ReplicaAnswer Installed(
        Epoch epoch, long seq, ImmutableArray<TableEntry> entries, ImmutableArray<Extent> quarantined, LayoutDigest? applied = null)
    {
        Table.Clear();
        _entries.Clear();
        _unacked.Clear();
        foreach (var entry in entries.OrderBy(e => e.Request.Value))
        {
            Enter(entry);
        }

        Notice([.. entries.Select(e => e.Extent)]);
        Epoch = epoch;
        LastSeq = seq - 1;
        _firstAnswer = seq;
        return Take(seq, new ReplicaAnswer(DecisionOutcome.Applied, applied ?? Table.Digest, null, quarantined));
    }

    /// <summary>The answer to a decision or table of this epoch that was taken in before.</summary>
    public ReplicaAnswer AnswerOf(long seq) => seq >= _firstAnswer
        ? _answers[seq % KeptAnswers]
        : new ReplicaAnswer(DecisionOutcome.Refused, Table.Digest, new Refusal(RefusalReason.Aborted, $"Decision {seq} of {Pool} was taken in long ago."), []);

    /// <summary>
    /// Part of a table was unmapped but the rest could not be mapped: the table shows what is really there. The epoch is followed all the
    /// same, so that the coordinator's next step finds it.
    /// </summary>
    public ReplicaAnswer InstallFailed(Epoch epoch, long seq, ImmutableArray<Extent> unmapped, Refusal refusal)
    {
        foreach (var extent in unmapped)
        {
            Remove(extent);
        }

        Epoch = epoch;
        LastSeq = seq - 1;
        _firstAnswer = seq;
        return Take(seq, new ReplicaAnswer(DecisionOutcome.Refused, Table.Digest, refusal, []));
    }

    private ReplicaStep JudgeMap(Decision decision)
    {
        // Entering them is the check, also of each against the others; all are taken out again at once.
        var entered = 0;
        var fault = ExtentFault.None;
        while (entered < decision.Extents.Length && fault == ExtentFault.None)
        {
            fault = Table.Add(decision.Extents[entered]);
            entered += fault == ExtentFault.None ? 1 : 0;
        }

        foreach (var extent in decision.Extents.AsSpan()[..entered])
        {
            Table.Remove(extent);
        }

        return fault == ExtentFault.None
            ? new ReplicaStep(ReplicaAction.Map, decision.Extents, default)
            : Refuse(decision, new Refusal(RefusalReason.StaleExtent, $"{decision.Extents[entered]} can't be mapped in {Pool}: {fault}."));
    }

    private ReplicaStep Refuse(Decision decision, Refusal refusal) => new(ReplicaAction.Answer, [], MapRefused(decision, refusal));

    private ReplicaStep Standing(DecisionOutcome outcome) => new(ReplicaAction.Answer, [], new ReplicaAnswer(outcome, Table.Digest, null, []));

    private ReplicaAnswer Take(long seq, ReplicaAnswer answer)
    {
        LastSeq = seq;
        _answers[seq % KeptAnswers] = answer;
        _firstAnswer = Math.Max(_firstAnswer, seq - KeptAnswers + 1);
        return answer;
    }

    private void Notice(ImmutableArray<Extent> extents)
    {
        foreach (var extent in extents)
        {
            HighestGeneration = Math.Max(HighestGeneration, extent.Generation);
        }
    }

    private void Enter(TableEntry entry)
    {
        Table.Add(entry.Extent);
        _entries[(entry.Extent.Group, entry.Extent.First.Value)] = entry;
        if (entry.Request != default)
        {
            _unacked.Enqueue((entry.Session, entry.Request, entry.Extent));
        }
    }

    private void Remove(in Extent extent)
    {
        if (Table.Remove(extent) == ExtentFault.None)
        {
            _entries.Remove((extent.Group, extent.First.Value));
        }
    }

    /// <summary>Forgets which requests were answered, as far as the engine has seen the answers.</summary>
    private void Acknowledge(SessionId session, RequestId through)
    {
        while (_unacked.TryPeek(out var oldest) && (oldest.Session != session || oldest.Request.Value <= through.Value))
        {
            _unacked.Dequeue();
            var key = (oldest.Extent.Group, oldest.Extent.First.Value);
            if (_entries.TryGetValue(key, out var entry) && entry.Extent == oldest.Extent)
            {
                _entries[key] = new TableEntry(entry.Extent, default, default);
            }
        }
    }
}
