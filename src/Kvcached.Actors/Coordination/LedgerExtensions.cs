using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <summary>Moves that the coordinator has made sure of: a refusal is a bug in its bookkeeping, and must not be passed over.</summary>
internal static class LedgerExtensions
{
    public static void Commit(this LedgerAccount account, long bytes) => Must(account.TryCommit(bytes, out var refusal), refusal);

    public static void Cancel(this LedgerAccount account, long bytes) => Must(account.TryCancel(bytes, out var refusal), refusal);

    public static void Cancel(this GpuLedger ledger, PoolId pool, long bytes) => Must(ledger.TryCancel(pool, bytes, out var refusal), refusal);

    public static void Free(this GpuLedger ledger, PoolId pool, long bytes) => Must(ledger.TryFree(pool, bytes, out var refusal), refusal);

    public static void Quarantine(this GpuLedger ledger, PoolId pool, long bytes) => Must(ledger.TryQuarantine(pool, bytes, out var refusal), refusal);

    public static void Unquarantine(this GpuLedger ledger, PoolId pool, long bytes) => Must(ledger.TryUnquarantine(pool, bytes, out var refusal), refusal);

    /// <summary>Closes the pool's account, whatever it holds: the rank has released all of it.</summary>
    public static void Forget(this GpuLedger ledger, PoolId pool)
    {
        if (!ledger.TryFind(pool, out var entry))
        {
            return;
        }

        ledger.ClearEarmark(pool);
        if (entry.ReservedBytes > 0)
        {
            ledger.Cancel(pool, entry.ReservedBytes);
        }

        if (entry.QuarantinedBytes > 0)
        {
            ledger.Unquarantine(pool, entry.QuarantinedBytes);
        }

        if (entry.UsedBytes > 0)
        {
            ledger.Free(pool, entry.UsedBytes);
        }

        Must(ledger.TryRemove(pool, out var refusal), refusal);
    }

    private static void Must(bool done, LedgerRefusal? refusal)
    {
        if (!done)
        {
            throw new InvalidOperationException($"The ledger contradicts a decision: {refusal}");
        }
    }
}
