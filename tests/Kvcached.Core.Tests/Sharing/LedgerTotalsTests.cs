using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

/// <summary>The sums that a ledger keeps say the same as its accounts added up, and accounts that are kept move the same memory.</summary>
public sealed class LedgerTotalsTests
{
    private const int PoolCount = 5;

    [Fact]
    public void AnyHistory_SumsEqualTheAccountsAddedUp() =>
        Gen.Select(Gen.Int[0, 13], Gen.Int[1, PoolCount], Gen.Long[-2, 60], Gen.Long[0, 60]).Array[1, 150].Sample(history =>
        {
            var ledger = new GpuLedger(GpuId.Parse("GPU-a"), 150, 10);
            var waiting = new List<PoolId>();
            foreach (var (kind, number, bytes, other) in history)
            {
                Play(ledger, kind, new PoolId(number), bytes, other);
                waiting.RemoveAll(pool => !ledger.TryFind(pool, out var entry) || entry.EarmarkedBytes == 0);
                waiting.AddRange(ledger.Entries.Where(e => e.EarmarkedBytes > 0 && !waiting.Contains(e.Pool)).Select(e => e.Pool));
                AssertAddsUp(ledger, waiting);
            }
        }, iter: 1500);

    [Fact]
    public void KeptAccount_MovesTheSameMemory()
    {
        var ledger = new GpuLedger(GpuId.Parse("GPU-a"), 100, 0);
        Assert.True(ledger.TryAdmit(new PoolId(1), 80, 0, 1, out _));
        Assert.True(ledger.TryAdmit(new PoolId(2), 80, 30, 1, out _));
        var account = ledger.FindAccount(new PoolId(1))!;

        Assert.True(account.TryReserve(60, out _));
        Assert.False(account.TryReserve(11, out var refusal));
        Assert.Equal((LedgerRefusalReason.NotEnoughFree, 10L), (refusal.Reason, refusal.FreeBytes));
        Assert.True(account.TryCommit(40, out _));
        Assert.True(account.TryCancel(20, out _));
        Assert.False(account.TryCancel(1, out refusal));
        Assert.Equal(LedgerRefusalReason.NotHeld, refusal.Reason);
        Assert.True(ledger.TryFind(new PoolId(1), out var entry));
        Assert.Equal((40L, 0L), (entry.UsedBytes, entry.ReservedBytes));
        Assert.Equal(entry, account.Entry);
        Assert.Null(ledger.FindImbalance());
    }

    [Fact]
    public void KeptAccount_Closed_RefusesEverything()
    {
        var ledger = new GpuLedger(GpuId.Parse("GPU-a"), 100, 0);
        Assert.True(ledger.TryAdmit(new PoolId(1), 80, 0, 1, out _));
        var account = ledger.FindAccount(new PoolId(1))!;
        Assert.True(ledger.TryRemove(new PoolId(1), out _));
        Assert.True(ledger.TryAdmit(new PoolId(1), 80, 0, 1, out _));

        Assert.True(account.IsClosed);
        Assert.False(account.TryReserve(1, out var refusal));
        Assert.Equal(LedgerRefusalReason.UnknownPool, refusal.Reason);
        Assert.False(account.TryCommit(1, out _));
        Assert.False(account.TryCancel(1, out _));
        Assert.Equal(0, ledger.HeldBytes);
        Assert.Null(ledger.FindAccount(new PoolId(2)));
    }

    private static void AssertAddsUp(GpuLedger ledger, List<PoolId> waiting)
    {
        var entries = ledger.Entries.ToArray();
        Assert.Null(ledger.FindImbalance());
        Assert.Equal(entries.Sum(e => e.HeldBytes), ledger.HeldBytes);
        Assert.Equal(entries.Sum(e => e.ClaimedBytes) > ledger.LendableBytes, ledger.IsOvercommitted);
        foreach (var entry in entries)
        {
            var place = waiting.IndexOf(entry.Pool);
            var owed = entries.Where(e => e.Pool != entry.Pool).Sum(e =>
                Math.Max(e.HeldBytes + (place < 0 || waiting.IndexOf(e.Pool) < place ? e.EarmarkedBytes : 0), e.FloorBytes));
            var free = ledger.LendableBytes - entry.HeldBytes - owed;
            Assert.Equal(Math.Max(0, Math.Min(free, entry.LimitBytes - entry.HeldBytes)), ledger.AvailableBytes(entry.Pool));
            var unclaimed = Math.Max(0, ledger.LendableBytes - entries.Sum(e => e.FloorBytes));
            var share = entry.FloorBytes + (long)(unclaimed * (entry.Weight / entries.Sum(e => e.Weight)));
            Assert.Equal(Math.Min(entry.LimitBytes, share), ledger.WeightedShareBytes(entry.Pool));
        }
    }

    private static void Play(GpuLedger ledger, int kind, PoolId pool, long bytes, long other)
    {
        _ = kind switch
        {
            0 or 1 => ledger.TryReserve(pool, bytes, out _),
            2 or 3 => ledger.TryAdmit(pool, bytes + other, other, other / 7.0, out _),
            4 => ledger.TryCommit(pool, bytes, out _),
            5 => ledger.TryCancel(pool, bytes, out _),
            6 => ledger.TryFree(pool, bytes, out _),
            7 => other % 2 == 0 ? ledger.TryQuarantine(pool, bytes, out _) : ledger.TryQuarantineReserved(pool, bytes, out _),
            8 => ledger.TryUnquarantine(pool, bytes, out _),
            9 => ledger.TryChange(pool, bytes + other, other / 2, other / 3.0, out _),
            10 => other % 2 == 0 ? ledger.TryRemove(pool, out _) : ledger.TryRestore(pool, bytes, other, out _),
            11 => ledger.TryResize(100 + bytes, other, out _),
            12 => ledger.TryReportWarm(pool, bytes, out _),
            _ => other % 3 > 0 ? ledger.TryEarmark(pool, bytes, out _) : Clear(),
        };

        bool Clear()
        {
            ledger.ClearEarmark(pool);
            return true;
        }
    }
}
