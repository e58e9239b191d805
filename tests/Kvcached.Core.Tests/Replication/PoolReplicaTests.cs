using System.Collections.Immutable;
using CsCheck;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;

namespace Kvcached.Core.Tests.Replication;

/// <summary>What a rank's copy of a pool does about decisions that come in order, twice, late, early or from another epoch.</summary>
public class PoolReplicaTests
{
    private static readonly PoolId Pool = PoolId.Create(3, 1);
    private static readonly Epoch Third = new(3, 7);
    private static readonly SessionId Owner = SessionId.New();
    private static readonly PoolSpec Spec = new(
        "small",
        new PoolGeometry(KvLayout.Contiguous, 0, [64], [new RankShape(GpuId.Parse("HOST-0"), [new KvGroupShape("full", KvGroupKind.MultiHead, 16, 1, 1, 1024, 4096)])]),
        PoolTarget.Host, 0, 0, 1);

    private readonly PoolReplica _replica = new(Pool, 0, Spec, Owner, Third);

    [Fact]
    public void Judge_MapAtItsTurn_IsToBeMappedAndChangesNothingYet()
    {
        var map = Map(1, Extent(0, 2, 1));

        var step = _replica.Judge(map);

        Assert.Equal(ReplicaAction.Map, step.Action);
        Assert.Equal(map.Extents.AsEnumerable(), step.Extents);
        Assert.Equal(0, _replica.LastSeq);
        Assert.Equal(LayoutDigest.Empty, _replica.Table.Digest);
    }

    [Fact]
    public void Mapped_Always_ShowsTheDigestOfExactlyTheseExtents()
    {
        var answer = Carry(Map(1, Extent(0, 2, 1), Extent(8, 3, 2)));

        Assert.Equal(DecisionOutcome.Applied, answer.Outcome);
        Assert.Equal(DigestOf(Extent(8, 3, 2), Extent(0, 2, 1)), answer.Digest);
    }

    [Fact]
    public void Judge_SameDecisionAgain_IsAnsweredFromMemory()
    {
        var first = Carry(Map(1, Extent(0, 0, 1)));
        Carry(Map(2, Extent(1, 0, 2)));

        var step = _replica.Judge(Map(1, Extent(0, 0, 1)));

        Assert.Equal(ReplicaAction.Answer, step.Action);
        Assert.Equal(first, step.Standing);
        Assert.Equal(2, _replica.LastSeq);
    }

    [Fact]
    public void Judge_RefusedDecisionAgain_IsRefusedWithTheSameReason()
    {
        var map = Map(1, Extent(0, 0, 1));
        _replica.Judge(map);
        var refusal = new Refusal(RefusalReason.OutOfMemory, "Too little left.");
        var first = _replica.MapRefused(map, refusal);

        var again = _replica.Judge(map);

        Assert.Equal(DecisionOutcome.Refused, first.Outcome);
        Assert.Equal(LayoutDigest.Empty, first.Digest);
        Assert.Equal(ReplicaAction.Answer, again.Action);
        Assert.Same(refusal, again.Standing.Refusal);
    }

    [Fact]
    public void Judge_DecisionAfterAMissingOne_IsAGapAndNotTakenIn()
    {
        Carry(Map(1, Extent(0, 0, 1)));

        var step = _replica.Judge(Map(3, Extent(1, 0, 2)));

        Assert.Equal(DecisionOutcome.Gap, step.Standing.Outcome);
        Assert.Equal(1, _replica.LastSeq);
        Assert.Equal(ReplicaAction.Map, _replica.Judge(Map(2, Extent(2, 0, 3))).Action);
    }

    [Fact]
    public void Judge_AbortBeforeItsMap_LeavesATombstoneThatRefusesTheMap()
    {
        Carry(Map(1, Extent(0, 0, 1)));
        var before = _replica.Table.Digest;
        var late = Map(2, Extent(4, 1, 2));

        var aborted = Carry(Abort(3, 2, Extent(4, 1, 2)));
        var step = _replica.Judge(late);

        Assert.Equal(DecisionOutcome.Applied, aborted.Outcome);
        Assert.Equal(before, aborted.Digest);
        Assert.Equal(3, _replica.LastSeq);
        Assert.Equal(ReplicaAction.Answer, step.Action);
        Assert.Equal(DecisionOutcome.Refused, step.Standing.Outcome);
        Assert.Equal(RefusalReason.Aborted, step.Standing.Refusal!.Reason);
        Assert.False(_replica.Table.Contains(Extent(4, 1, 2)));
    }

    [Fact]
    public void Judge_AbortThatSkipsMoreThanItsMap_IsAGap()
    {
        Assert.Equal(DecisionOutcome.Gap, _replica.Judge(Abort(3, 1, Extent(0, 0, 1))).Standing.Outcome);
        Assert.Equal(DecisionOutcome.Gap, _replica.Judge(Abort(4, 3, Extent(0, 0, 1))).Standing.Outcome);
    }

    [Fact]
    public void Unmapped_AfterItsMap_TakesTheExtentsOutAndNamesTheQuarantined()
    {
        Carry(Map(1, Extent(0, 0, 1), Extent(1, 0, 2)));

        _replica.Judge(Abort(2, 1, Extent(0, 0, 1), Extent(1, 0, 2)));
        var answer = _replica.Unmapped(Abort(2, 1, Extent(0, 0, 1), Extent(1, 0, 2)), [Extent(1, 0, 2)]);

        Assert.Equal(LayoutDigest.Empty, answer.Digest);
        Assert.Equal([Extent(1, 0, 2)], answer.Quarantined.AsEnumerable());
        Assert.Empty(_replica.Entries);
    }

    [Theory]
    [InlineData(2, 9, DecisionOutcome.StaleEpoch)]
    [InlineData(3, 6, DecisionOutcome.StaleEpoch)]
    [InlineData(3, 8, DecisionOutcome.NeedsTable)]
    [InlineData(4, 1, DecisionOutcome.NeedsTable)]
    public void Judge_DecisionOfAnotherEpoch_IsNotCarriedOut(long counter, long nodeUid, DecisionOutcome expected)
    {
        var step = _replica.Judge(Map(1, Extent(0, 0, 1)) with { Epoch = new Epoch(counter, nodeUid) });

        Assert.Equal(ReplicaAction.Answer, step.Action);
        Assert.Equal(expected, step.Standing.Outcome);
        Assert.Equal(Third, _replica.Epoch);
        Assert.Equal(0, _replica.LastSeq);
    }

    [Fact]
    public void Judge_MapOverMappedPages_IsRefusedWithTheTableAsItWas()
    {
        Carry(Map(1, Extent(0, 2, 1)));
        var before = _replica.Table.Digest;

        var step = _replica.Judge(Map(2, Extent(8, 0, 2), Extent(2, 0, 3)));

        Assert.Equal(DecisionOutcome.Refused, step.Standing.Outcome);
        Assert.Equal(RefusalReason.StaleExtent, step.Standing.Refusal!.Reason);
        Assert.Equal(before, _replica.Table.Digest);
        Assert.Equal(2, _replica.LastSeq);
    }

    [Theory]
    [InlineData(0, 2, 1, 0)]
    [InlineData(60, 3, 9, 0)]
    [InlineData(1, 1, 9, 0)]
    [InlineData(0, 0, 9, 1)]
    public void Judge_MapOfNonsense_IsRefused(int first, byte order, uint generation, int group)
    {
        var step = _replica.Judge(Map(1, Extent(0, 1, 7), new Extent(group, new PageId(first), order, generation)));

        Assert.Equal(DecisionOutcome.Refused, step.Standing.Outcome);
        Assert.Equal(LayoutDigest.Empty, _replica.Table.Digest);
    }

    [Fact]
    public void Judge_UnknownKind_IsRefused()
    {
        var step = _replica.Judge(Map(1, Extent(0, 0, 1)) with { Kind = (DecisionKind)9 });

        Assert.Equal(RefusalReason.NotSupported, step.Standing.Refusal!.Reason);
        Assert.Equal(1, _replica.LastSeq);
    }

    [Fact]
    public void Installed_NewEpoch_HoldsExactlyTheTableAndGoesOnAfterIt()
    {
        Carry(Map(1, Extent(0, 0, 1), Extent(1, 0, 2)));
        var fourth = new Epoch(4, 1);
        ImmutableArray<TableEntry> table = [new TableEntry(Extent(1, 0, 2), Owner, new RequestId(5)), new TableEntry(Extent(8, 3, 4), Owner, new RequestId(6))];

        var (unmap, map) = _replica.PlanInstall(table);
        var answer = _replica.Installed(fourth, 1, table, []);

        Assert.Equal([Extent(0, 0, 1)], unmap.AsEnumerable());
        Assert.Equal([Extent(8, 3, 4)], map.AsEnumerable());
        Assert.Equal(DigestOf(Extent(1, 0, 2), Extent(8, 3, 4)), answer.Digest);
        Assert.Equal(fourth, _replica.Epoch);
        Assert.Equal(answer, _replica.AnswerOf(1));
        Assert.Equal(DecisionOutcome.StaleEpoch, _replica.Judge(Map(2, Extent(20, 0, 9))).Standing.Outcome);
        Assert.Equal(ReplicaAction.Map, _replica.Judge(Map(2, Extent(20, 0, 9)) with { Epoch = fourth }).Action);
    }

    [Fact]
    public void Installed_SameEpoch_RefusesDecisionsFromBeforeItThatArriveLate()
    {
        Carry(Map(1, Extent(0, 0, 1)));
        _replica.Installed(Third, 5, [new TableEntry(Extent(0, 0, 1), Owner, new RequestId(1))], []);

        var late = _replica.Judge(Map(3, Extent(9, 0, 3)));

        Assert.Equal(DecisionOutcome.Refused, late.Standing.Outcome);
        Assert.Equal(5, _replica.LastSeq);
    }

    [Fact]
    public void InstallFailed_PartUnmapped_ShowsWhatIsReallyThere()
    {
        Carry(Map(1, Extent(0, 0, 1), Extent(1, 0, 2)));

        var answer = _replica.InstallFailed(new Epoch(4, 1), 1, [Extent(0, 0, 1)], new Refusal(RefusalReason.OutOfMemory, "Too little."));

        Assert.Equal(DecisionOutcome.Refused, answer.Outcome);
        Assert.Equal(DigestOf(Extent(1, 0, 2)), answer.Digest);
        Assert.Equal(new Epoch(4, 1), _replica.Epoch);
    }

    [Fact]
    public void Judge_RisingWatermark_ForgetsTheRequestsUpToItAndNoOthers()
    {
        Carry(Map(1, Extent(0, 0, 1)) with { Request = new RequestId(4) });
        Carry(Map(2, Extent(1, 0, 2)) with { Request = new RequestId(5) });

        Carry(Map(3, Extent(2, 0, 3)) with { Request = new RequestId(6), AckedThrough = new RequestId(4) });

        Assert.Equal(
            [default, new RequestId(5), new RequestId(6)],
            _replica.Entries.OrderBy(e => e.Extent.First).Select(e => e.Request));
    }

    [Fact]
    public void Judge_WatermarkAfterAnInstall_ForgetsWhateverTheOrderOfTheTable()
    {
        _replica.Installed(Third, 1, [new TableEntry(Extent(0, 0, 1), Owner, new RequestId(9)), new TableEntry(Extent(1, 0, 2), Owner, new RequestId(3))], []);

        Carry(Map(2, Extent(2, 0, 3)) with { Request = new RequestId(10), AckedThrough = new RequestId(3) });

        Assert.Equal([new RequestId(9), default, new RequestId(10)], _replica.Entries.OrderBy(e => e.Extent.First).Select(e => e.Request));
    }

    [Fact]
    public void AnswerOf_MoreDecisionsThanAreKept_StandsForTheKeptAndRefusesTheOldest()
    {
        var last = PoolReplica.KeptAnswers + 10;
        for (var seq = 1; seq <= last; seq++)
        {
            var extent = Extent(0, 0, (uint)((seq + 1) / 2));
            Carry(seq % 2 == 1 ? Map(seq, extent) : Unmap(seq, extent));
        }

        Assert.Equal(DecisionOutcome.Refused, _replica.AnswerOf(10).Outcome);
        Assert.Equal(DecisionOutcome.Applied, _replica.AnswerOf(11).Outcome);
        Assert.Equal(DigestOf(Extent(0, 0, 6)), _replica.AnswerOf(11).Digest);
        Assert.Equal(LayoutDigest.Empty, _replica.AnswerOf(last).Digest);
    }

    [Fact]
    public void HighestGeneration_RefusedAndAbortedMaps_AreCountedToo()
    {
        var map = Map(1, Extent(0, 0, 40));
        _replica.Judge(map);
        _replica.MapRefused(map, new Refusal(RefusalReason.OutOfMemory, "Too little."));
        Assert.Equal(40u, _replica.HighestGeneration);

        Carry(Abort(3, 2, Extent(4, 0, 41)));
        Assert.Equal(41u, _replica.HighestGeneration);

        _replica.Installed(Third, 4, [new TableEntry(Extent(9, 0, 50), default, default)], []);
        Assert.Equal(50u, _replica.HighestGeneration);
    }

    [Fact]
    public void Digest_AnySequenceOfDecisions_EqualsThatOfATableBuiltAnew() =>
        Gen.Select(Gen.Int[0, 15], Gen.Bool).Array[1, 60].Sample(steps =>
        {
            var replica = new PoolReplica(Pool, 0, Spec, Owner, Third);
            var mapped = new Dictionary<int, Extent>();
            var generation = 0u;
            var seq = 0L;
            foreach (var (slot, isKept) in steps)
            {
                var decision = mapped.Remove(slot, out var held)
                    ? Unmap(++seq, held)
                    : Map(++seq, Extent(slot * 4, (byte)(slot % 3), ++generation));
                Carry(replica, decision);
                if (decision.Kind == DecisionKind.Map && isKept)
                {
                    mapped.Add(slot, decision.Extents[0]);
                }
                else if (decision.Kind == DecisionKind.Map)
                {
                    seq++;
                    Carry(replica, Abort(seq, seq - 1, decision.Extents[0]));
                }
            }

            var anew = new PageTable(Spec.Geometry.VirtualPageCounts);
            foreach (var extent in mapped.Values)
            {
                anew.Add(extent);
            }

            Assert.Equal(anew.Digest, replica.Table.Digest);
            Assert.Equal(mapped.Values.OrderBy(e => e.First), replica.Entries.Select(e => e.Extent).OrderBy(e => e.First));
        });

    private ReplicaAnswer Carry(Decision decision) => Carry(_replica, decision);

    private static ReplicaAnswer Carry(PoolReplica replica, Decision decision) => replica.Judge(decision).Action switch
    {
        ReplicaAction.Map => replica.Mapped(decision),
        ReplicaAction.Unmap => replica.Unmapped(decision, []),
        _ => throw new InvalidOperationException($"{decision} isn't at its turn."),
    };

    private static Extent Extent(int first, byte order, uint generation) => new(0, new PageId(first), order, generation);

    private static LayoutDigest DigestOf(params Extent[] extents) => extents.Aggregate(LayoutDigest.Empty, (digest, extent) => digest.With(extent));

    private static Decision Map(long seq, params ImmutableArray<Extent> extents) => new(Pool, Third, seq, DecisionKind.Map, extents, 0, Owner, new RequestId(seq), default, EngineStep.None);

    private static Decision Unmap(long seq, params ImmutableArray<Extent> extents) => Map(seq, extents) with { Kind = DecisionKind.Unmap };

    private static Decision Abort(long seq, long aborted, params ImmutableArray<Extent> extents) =>
        Map(seq, extents) with { Kind = DecisionKind.Abort, AbortedSeq = aborted };
}
