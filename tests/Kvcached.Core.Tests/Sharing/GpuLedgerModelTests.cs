using CsCheck;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Tests.Sharing;

public sealed class GpuLedgerModelTests
{
    [Fact]
    public void AnyHistory_LimitsFloorsAndCapacityHold() =>
        Gen.Select(Gen.Int[0, 12], Gen.Int[0, 4], Gen.Long[-2, 60], Gen.Long[0, 60]).Array[1, 120].Sample(history =>
        {
            var ledger = new GpuLedger(GpuId.Parse("GPU-a"), 110, 10);
            foreach (var (kind, poolIndex, bytes, other) in history)
            {
                var pool = new PoolId(poolIndex + 1);
                var before = ledger.Entries.ToArray();
                var (roomBytes, claimed) = (ledger.RoomBytes, before.Sum(account => account.ClaimedBytes));
                var (available, isKnown) = (ledger.AvailableBytes(pool), ledger.TryFind(pool, out var entry));
                var (isDone, refusal) = Play(ledger, kind, pool, bytes, other);
                Assert.Equal(isDone, refusal is null);
                if (!isDone)
                {
                    Assert.Equal(before, ledger.Entries);
                }

                if (kind < 4 && isKnown && bytes > 0)
                {
                    Assert.Equal(bytes <= available, isDone);
                }

                Assert.Null(ledger.FindImbalance());
                Assert.False(ledger.IsOvercommitted);
                Assert.True(ledger.HeldBytes <= ledger.LendableBytes);

                // Nothing that was promised or lent goes beyond the room that others leave.
                Assert.True(ledger.Entries.Sum(account => account.ClaimedBytes) <= Math.Max(claimed, roomBytes));
                foreach (var now in ledger.Entries)
                {
                    // Above its limit only by lowering it; and others' acts change nothing of it.
                    var was = before.SingleOrDefault(account => account.Pool == now.Pool);
                    Assert.True(now.HeldBytes <= Math.Max(now.LimitBytes, was.HeldBytes));
                    Assert.True(now.Pool == pool || now == was);

                    // A pool below its floor can have the rest of it at any time, unless someone waits in front.
                    if (ledger.Entries.All(account => account.EarmarkedBytes == 0))
                    {
                        Assert.True(ledger.AvailableBytes(now.Pool) >= now.FloorBytes - now.HeldBytes);
                    }
                }
            }
        }, iter: 1500);

    private static (bool, LedgerRefusal?) Play(GpuLedger ledger, int kind, PoolId pool, long bytes, long other)
    {
        LedgerRefusal? refusal;
        switch (kind)
        {
            case < 4: return (ledger.TryReserve(pool, bytes, out refusal), refusal);
            case 4: return (ledger.TryAdmit(pool, bytes + other, other, 1, out refusal), refusal);
            case 5: return (ledger.TryCommit(pool, bytes, out refusal), refusal);
            case 6: return (ledger.TryCancel(pool, bytes, out refusal), refusal);
            case 7: return (ledger.TryFree(pool, bytes, out refusal), refusal);
            case 8: return (other % 2 == 0 ? ledger.TryQuarantine(pool, bytes, out refusal) : ledger.TryQuarantineReserved(pool, bytes, out refusal), refusal);
            case 9: return (ledger.TryUnquarantine(pool, bytes, out refusal), refusal);
            case 10: return (other % 2 == 0 ? ledger.TryChange(pool, bytes + other, other / 2, 1, out refusal) : ledger.TryRemove(pool, out refusal), refusal);
            case 12:
                ledger.SetRoom(other % 3 == 0 ? long.MaxValue : 2 * other);
                return (true, (refusal = null));
            default:
                if (other % 2 == 0)
                {
                    return (ledger.TryEarmark(pool, bytes, out refusal), refusal);
                }

                ledger.ClearEarmark(pool);
                return (true, null);
        }
    }
}
