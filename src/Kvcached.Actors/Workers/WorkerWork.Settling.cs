using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Decisions;
using Kvcached.Core.Paging;
using Kvcached.Core.Replication;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Workers;

/// <content>How a waiting command ends: what it leaves on the books, and its answer.</content>
internal sealed partial class WorkerWork
{
    /// <summary>The map failed: what the worker may have is quarantined, the rest is undone.</summary>
    private void SettleMap(RankPoolState pool, WorkerSeat seat, Refusal refusal)
    {
        var decision = ((RankProtocol.Decide)seat.Wait!.Command).Decision;
        pool.Memory.Quarantine([.. decision.Extents.Where(seat.Held.ContainsKey)]);
        pool.Memory.Unmap([.. decision.Extents.Where(e => !seat.Held.ContainsKey(e) && pool.Memory.IdentityOf(e) is not null)], keep: true);
        Settle(pool, seat, IsTakenIn(pool, decision) ? pool.Replica.AnswerOf(decision.Seq) : pool.Replica.MapRefused(decision, refusal), 0);
    }

    /// <summary>The unmap ends, one way or the other: what the worker still holds is quarantined.</summary>
    private void SettleUnmap(RankPoolState pool, WorkerSeat seat, LayoutDigest? applied, double microseconds)
    {
        var decision = ((RankProtocol.Decide)seat.Wait!.Command).Decision;
        pool.Memory.Quarantine([.. decision.Extents.Where(seat.Held.ContainsKey)]);
        var quarantined = RankReplies.QuarantinedIn(pool.Memory, decision.Extents);
        Settle(
            pool, seat, IsTakenIn(pool, decision) ? pool.Replica.AnswerOf(decision.Seq) : pool.Replica.Unmapped(decision, quarantined, applied), microseconds);
    }

    private void SettleInstall(RankPoolState pool, WorkerSeat seat, LayoutDigest? applied, double microseconds)
    {
        var install = (RankProtocol.InstallTable)seat.Wait!.Command;
        Settle(
            pool, seat, pool.Replica.Installed(install.Epoch, install.Seq, install.Entries, RankReplies.QuarantinedIn(pool.Memory), applied), microseconds);
    }

    /// <summary>The pool is closed once its worker can't write to any of it.</summary>
    private void FinishClosing(RankPoolState pool, WorkerSeat seat)
    {
        if (seat.Wait is not { Command: RankProtocol.CloseRankPool close, Reply: null } wait || seat.Held.Count > 0 || pool.Memory.HasImports)
        {
            return;
        }

        if (state.Pages.Close(close.Pool) is CloseResult.Incomplete incomplete)
        {
            wait.Reply = replies.Answer(close.Epoch, close.Pool, true, new Refusal(RefusalReason.DriverFailed, incomplete.Text));
            return;
        }

        state.Remove(close.Pool);
        wait.Reply = replies.Answer(close.Epoch, close.Pool, false, null);
    }

    private void Settle(RankPoolState pool, WorkerSeat seat, ReplicaAnswer answer, double microseconds)
    {
        var seq = seat.Wait!.Command switch
        {
            RankProtocol.Decide decide => decide.Decision.Seq,
            RankProtocol.InstallTable install => install.Seq,
            _ => 0,
        };
        seat.Wait.Reply = replies.Decided(pool, seq, answer, microseconds);
    }

    /// <summary>A mapper that failed in mid-answer had taken it in already.</summary>
    private static bool IsTakenIn(RankPoolState pool, Decision decision) => decision.Epoch == pool.Replica.Epoch && decision.Seq <= pool.Replica.LastSeq;
}
