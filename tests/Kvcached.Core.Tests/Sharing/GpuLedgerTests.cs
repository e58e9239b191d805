using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public sealed class GpuLedgerTests
{
    private static readonly PoolId A = new(1);
    private static readonly PoolId B = new(2);
    private static readonly PoolId C = new(3);

    // 100 bytes to lend.
    private readonly GpuLedger _ledger = new(GpuId.Parse("GPU-a"), capacityBytes: 120, headroomBytes: 20);

    private void Admit(PoolId pool, long limitBytes, long floorBytes, double weight = 1) =>
        Assert.True(_ledger.TryAdmit(pool, limitBytes, floorBytes, weight, out var refusal), refusal?.ToString());

    private void Use(PoolId pool, long bytes)
    {
        Assert.True(_ledger.TryReserve(pool, bytes, out var refusal), refusal?.ToString());
        Assert.True(_ledger.TryCommit(pool, bytes, out _));
    }

    private LedgerEntry Entry(PoolId pool)
    {
        Assert.True(_ledger.TryFind(pool, out var entry));
        return entry;
    }

    [Fact]
    public void TryAdmit_FloorsThatDontFit_RefusedWithFacts()
    {
        Admit(A, 100, 60);
        Assert.False(_ledger.TryAdmit(B, 100, 41, 1, out var refusal));
        Assert.Equal((LedgerRefusalReason.FloorsExceedCapacity, 41, 40), (refusal.Reason, refusal.RequestedBytes, refusal.FreeBytes));
        Assert.Equal([new LedgerHolder(A, 0, 0, 60)], refusal.Holders.ToArray());
        Admit(B, 100, 40);
        Assert.False(_ledger.TryAdmit(C, 10, 1, 1, out refusal));
        Admit(C, 10, 0);
    }

    [Fact]
    public void TryAdmit_FloorThatOthersHold_RefusedUntilReclaimed()
    {
        Admit(A, 100, 0);
        Use(A, 70);
        Assert.False(_ledger.TryAdmit(B, 100, 40, 1, out var refusal));
        Assert.Equal((LedgerRefusalReason.FloorInUse, 30), (refusal.Reason, refusal.FreeBytes));
        Assert.True(_ledger.TryFree(A, 10, out _));
        Admit(B, 100, 40);
    }

    [Theory]
    [InlineData(10, 11, 1, LedgerRefusalReason.LimitBelowFloor)]
    [InlineData(-1, 0, 1, LedgerRefusalReason.BadAmount)]
    [InlineData(10, -1, 1, LedgerRefusalReason.BadAmount)]
    [InlineData(10, 0, 0, LedgerRefusalReason.BadAmount)]
    [InlineData(10, 0, double.NaN, LedgerRefusalReason.BadAmount)]
    [InlineData(10, 0, double.PositiveInfinity, LedgerRefusalReason.BadAmount)]
    [InlineData(long.MaxValue, long.MaxValue, 1, LedgerRefusalReason.FloorsExceedCapacity)]
    public void TryAdmit_BadTerms_Refused(long limitBytes, long floorBytes, double weight, LedgerRefusalReason expected)
    {
        Assert.False(_ledger.TryAdmit(A, limitBytes, floorBytes, weight, out var refusal));
        Assert.Equal(expected, refusal.Reason);
        Assert.Empty(_ledger.Entries);
    }

    [Fact]
    public void TryAdmit_Twice_Refused()
    {
        Admit(A, 10, 5);
        Assert.False(_ledger.TryAdmit(A, 50, 5, 1, out var refusal));
        Assert.Equal((LedgerRefusalReason.AlreadyAdmitted, 10), (refusal.Reason, refusal.LimitBytes));
    }

    [Fact]
    public void TryReserve_AboveLimit_CountsUsedReservedAndQuarantined()
    {
        Admit(A, 30, 0);
        Use(A, 20);
        Assert.True(_ledger.TryQuarantine(A, 5, out _));
        Assert.True(_ledger.TryReserve(A, 4, out _));
        Assert.False(_ledger.TryReserve(A, 7, out var refusal));
        Assert.Equal((LedgerRefusalReason.LimitReached, 30, 76), (refusal.Reason, refusal.LimitBytes, refusal.FreeBytes));
        Assert.Equal(6, _ledger.AvailableBytes(A));
        Assert.True(_ledger.TryReserve(A, 6, out _));
    }

    [Fact]
    public void TryReserve_OthersUnusedFloor_LeftAlone()
    {
        Admit(A, 100, 0);
        Admit(B, 100, 40);
        Use(B, 10);
        Assert.Equal(60, _ledger.AvailableBytes(A));
        Assert.False(_ledger.TryReserve(A, 61, out var refusal));
        Assert.Equal((LedgerRefusalReason.NotEnoughFree, 60), (refusal.Reason, refusal.FreeBytes));
        Assert.Equal([new LedgerHolder(B, 10, 0, 40)], refusal.Holders.ToArray());
        Use(A, 60);

        // The floor is still there for its owner, and no more than it.
        Assert.False(_ledger.TryReserve(B, 31, out _));
        Use(B, 30);
        Assert.Equal(0, _ledger.UnheldBytes);
    }

    [Fact]
    public void Moves_MoreThanHeld_RefusedAndUnchanged()
    {
        Admit(A, 50, 0);
        Use(A, 10);
        Assert.True(_ledger.TryReserve(A, 5, out _));
        var before = Entry(A);
        Assert.False(_ledger.TryCommit(A, 6, out var refusal));
        Assert.Equal(LedgerRefusalReason.NotHeld, refusal.Reason);
        Assert.False(_ledger.TryCancel(A, 6, out _));
        Assert.False(_ledger.TryFree(A, 11, out _));
        Assert.False(_ledger.TryQuarantine(A, 11, out _));
        Assert.False(_ledger.TryQuarantineReserved(A, 6, out _));
        Assert.False(_ledger.TryUnquarantine(A, 1, out _));
        Assert.Equal(before, Entry(A));
    }

    [Fact]
    public void Moves_BadAmountOrUnknownPool_Refused()
    {
        Admit(A, 50, 0);
        Assert.False(_ledger.TryReserve(A, 0, out var refusal));
        Assert.Equal(LedgerRefusalReason.BadAmount, refusal.Reason);
        Assert.False(_ledger.TryReserve(A, -5, out _));
        Assert.False(_ledger.TryReserve(A, long.MaxValue, out refusal));
        Assert.Equal(LedgerRefusalReason.LimitReached, refusal.Reason);
        Assert.False(_ledger.TryFree(B, 1, out refusal));
        Assert.Equal((LedgerRefusalReason.UnknownPool, 0), (refusal.Reason, refusal.LimitBytes));
        Assert.False(_ledger.TryReportWarm(B, 1, out _));
        Assert.False(_ledger.TryReportWarm(A, -1, out _));
        Assert.False(_ledger.TryChange(B, 1, 0, 1, out _));
        Assert.False(_ledger.TryEarmark(B, 1, out _));
        Assert.False(_ledger.TryRestore(B, 1, 0, out _));
        Assert.Equal(0, _ledger.AvailableBytes(B));
    }

    [Fact]
    public void TryQuarantineReserved_UnansweredAbort_HeldUntilCleared()
    {
        Admit(A, 50, 0);
        Assert.True(_ledger.TryReserve(A, 8, out _));
        Assert.True(_ledger.TryQuarantineReserved(A, 8, out _));
        Assert.Equal((0, 8, 8), (Entry(A).ReservedBytes, Entry(A).QuarantinedBytes, _ledger.HeldBytes));
        Assert.False(_ledger.TryRemove(A, out var refusal));
        Assert.Equal(LedgerRefusalReason.StillHolds, refusal.Reason);
        Assert.True(_ledger.TryUnquarantine(A, 8, out _));
        Assert.True(_ledger.TryRemove(A, out _));
        Assert.False(_ledger.TryRemove(A, out _));
    }

    [Fact]
    public void TryChange_LimitBelowUse_AcceptedAndNoMoreGrants()
    {
        Admit(A, 50, 10);
        Use(A, 30);
        Assert.True(_ledger.TryChange(A, 20, 10, 2, out _));
        Assert.True(Entry(A).IsAboveLimit);
        Assert.Equal(0, _ledger.AvailableBytes(A));
        Assert.False(_ledger.TryReserve(A, 1, out var refusal));
        Assert.Equal(LedgerRefusalReason.LimitReached, refusal.Reason);
        Assert.True(_ledger.TryFree(A, 11, out _));
        Assert.True(_ledger.TryReserve(A, 1, out _));
        Assert.Null(_ledger.FindImbalance());
    }

    [Fact]
    public void TryChange_HigherFloor_OnlyWhatIsFree()
    {
        Admit(A, 100, 10);
        Admit(B, 100, 0);
        Use(B, 70);
        Assert.False(_ledger.TryChange(A, 100, 31, 1, out var refusal));
        Assert.Equal(LedgerRefusalReason.FloorInUse, refusal.Reason);
        Assert.False(_ledger.TryChange(A, 20, 30, 1, out refusal));
        Assert.Equal(LedgerRefusalReason.LimitBelowFloor, refusal.Reason);
        Assert.True(_ledger.TryChange(A, 100, 30, 1, out _));
        Assert.Equal(0, _ledger.AvailableBytes(B));
    }

    [Fact]
    public void TryReportWarm_MoreThanUsed_NotBelieved()
    {
        Admit(A, 100, 0);
        Use(A, 20);
        Assert.True(_ledger.TryReportWarm(A, 50, out _));
        Assert.Equal(20, Entry(A).WarmBytes);
        Assert.True(_ledger.TryFree(A, 15, out _));
        Assert.Equal(5, Entry(A).WarmBytes);
        Assert.True(_ledger.TryQuarantine(A, 2, out _));
        Assert.Equal((3, 3), (Entry(A).WarmBytes, Entry(A).UsedBytes));
    }

    [Fact]
    public void TryEarmark_SeveralWait_FirstComeFirstServed()
    {
        Admit(A, 100, 0);
        Admit(B, 100, 0);
        Admit(C, 100, 0);
        Use(C, 95);
        Assert.True(_ledger.TryEarmark(A, 20, out _));
        Assert.True(_ledger.TryEarmark(B, 10, out _));
        Assert.Equal((5, 0, 0), (_ledger.AvailableBytes(A), _ledger.AvailableBytes(B), _ledger.AvailableBytes(C)));
        Assert.True(_ledger.TryFree(C, 20, out _));
        Assert.Equal((25, 5, 0), (_ledger.AvailableBytes(A), _ledger.AvailableBytes(B), _ledger.AvailableBytes(C)));
        Use(A, 20);
        Assert.Equal(0, Entry(A).EarmarkedBytes);
        Assert.Equal((0, 5), (_ledger.AvailableBytes(A), _ledger.AvailableBytes(B)));
        _ledger.ClearEarmark(B);
        Assert.Equal(5, _ledger.AvailableBytes(A));
        Assert.False(_ledger.TryEarmark(A, 81, out var refusal));
        Assert.Equal(LedgerRefusalReason.LimitReached, refusal.Reason);
    }

    [Fact]
    public void WeightedShare_FloorsFirstThenByWeight()
    {
        Admit(A, 100, 10, weight: 3);
        Admit(B, 100, 10, weight: 1);
        Assert.Equal((70, 30), (_ledger.WeightedShareBytes(A), _ledger.WeightedShareBytes(B)));
        Assert.True(_ledger.TryChange(A, 40, 10, 3, out _));
        Assert.Equal((40, 0), (_ledger.WeightedShareBytes(A), _ledger.WeightedShareBytes(C)));
    }

    [Fact]
    public void TryRestore_MoreThanLimits_TakenAsItIsAndNothingMoreGranted()
    {
        Admit(A, 30, 0);
        Admit(B, 100, 40);
        Assert.True(_ledger.TryRestore(A, 70, 5, out _));
        Assert.True(_ledger.IsOvercommitted);
        Assert.True(Entry(A).IsAboveLimit);
        Assert.Equal(25, _ledger.AvailableBytes(B));
        Assert.False(_ledger.TryRestore(A, long.MaxValue, long.MaxValue, out var refusal));
        Assert.Equal(LedgerRefusalReason.BadAmount, refusal.Reason);
        Assert.Equal(75, _ledger.HeldBytes);
    }

    [Fact]
    public void TryResize_FloorsThatNoLongerFit_Refused()
    {
        Admit(A, 100, 60);
        Assert.False(_ledger.TryResize(120, 61, out var refusal));
        Assert.Equal(LedgerRefusalReason.FloorsExceedCapacity, refusal.Reason);
        Assert.False(_ledger.TryResize(-1, 0, out _));
        Assert.True(_ledger.TryResize(90, 30, out _));
        Assert.Equal(60, _ledger.LendableBytes);
    }

    [Fact]
    public void Refusal_AsText_SaysWhoHoldsWhat()
    {
        Admit(A, 100, 0);
        Admit(B, 100, 0);
        Use(A, 90);
        Assert.False(_ledger.TryReserve(B, 20, out var refusal));
        Assert.Equal("pool-0.2 was refused 20 B on GPU-a: NotEnoughFree; 10 B free to it, limit 100 B; held: pool-0.1 90 B.", refusal.ToString());
    }
}
