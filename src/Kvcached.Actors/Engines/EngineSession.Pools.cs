using System.Collections.Immutable;
using Akka.Event;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Engines;

/// <content>Memory that is asked back, and pools that end.</content>
internal sealed partial class EngineSession
{
    /// <summary>
    /// An answer to a request that was answered before. Mostly the same; but a copy of the request that was still on its way when a new
    /// coordinator took over was carried out a second time, and what came of that is given back.
    /// </summary>
    private void AnsweredAgain(EngineProtocol.IReply reply)
    {
        switch (reply)
        {
            case EngineProtocol.PagesAllocated allocated when _pools.TryGetValue(allocated.Pool, out var pool) && pool.FindForeign(allocated.Extents) is { IsEmpty: false } foreign:
                GiveBack(allocated.Pool, foreign);
                break;
            case EngineProtocol.PoolOpened opened when _ended is null && _openedPools.Add(opened.Pool):
                ClosePool(opened.Pool);
                break;
        }
    }

    /// <summary>Answers a revoke, in one step with allocation.</summary>
    private void GiveUp(EngineProtocol.RevokeExtents revoke) =>
        AnswerGivenUp(revoke.Pool, revoke.RevokeId, _pools.TryGetValue(revoke.Pool, out var pool) ? pool.GiveUp(revoke.Extents) : []);

    /// <summary>Gives up what is warm now; what its blocks' users free later is asked back when it is reported.</summary>
    private void Shrink(EngineProtocol.ShrinkRequested shrink) =>
        AnswerGivenUp(shrink.Pool, shrink.ShrinkId, _pools.TryGetValue(shrink.Pool, out var pool) ? pool.GiveUp(shrink.Wanted) : []);

    private void AnswerGivenUp(PoolId pool, long question, ImmutableArray<Extent> givenUp)
    {
        if (!givenUp.IsEmpty)
        {
            // The answer may be lost, a request is sent until it is answered; it comes first, so that it isn't refused.
            GiveBack(pool, givenUp);
        }

        _gateway.Tell(new EngineProtocol.RevokeAnswered(_id, pool, question, givenUp, EngineStep.None), Self);
    }

    private void ClosePool(PoolId pool)
    {
        var nobodyWaits = new TaskCompletionSource<EngineProtocol.IReply>();
        Send(new Submit((session, request, acked) => new EngineProtocol.ClosePool(session, request, acked, pool), nobodyWaits));
    }

    private void GiveBack(PoolId pool, ImmutableArray<Extent> extents)
    {
        var nobodyWaits = new TaskCompletionSource<EngineProtocol.IReply>();
        Send(new Submit((session, request, acked) => new EngineProtocol.FreeExtents(session, request, acked, pool, extents, EngineStep.None), nobodyWaits), mustReturn: true);
    }

    /// <summary>A return was answered. Also when its caller waits no more, so that no extent is forgotten.</summary>
    private void SettleReturn(Pending pending, EngineProtocol.IReply reply)
    {
        if (pending.Returning.IsEmpty || pending.Pool is not { } id)
        {
            return;
        }

        switch ((reply as EngineProtocol.RequestRefused)?.Refusal.Reason)
        {
            case RefusalReason.Busy when pending.MustReturn:
                _returns.Enqueue((id, pending.Returning));
                break;
            case RefusalReason.Busy:
                _pools.GetValueOrDefault(id)?.Add(pending.Returning);
                break;
            case RefusalReason.StaleExtent when pending.Returning.Length > 1:
                // One that is gone already must not keep the others.
                foreach (var extent in pending.Returning)
                {
                    _returns.Enqueue((id, [extent]));
                }

                break;
            default:
                _pools.GetValueOrDefault(id)?.Returned(pending.Returning);
                break;
        }
    }

    /// <summary>
    /// Says which extents are the pool's. One that this session doesn't have and isn't opening was refused, withdrawn or closed by an earlier
    /// coordinator: it is closed. While a pool is being opened or closed nothing can be said; the question comes again.
    /// </summary>
    private void Check(EngineProtocol.CheckExtents check)
    {
        if (_pools.TryGetValue(check.Pool, out var pool))
        {
            var (held, unknown) = pool.Check(check.Extents, request => _pending.ContainsKey(request.Value));
            _gateway.Tell(new EngineProtocol.ExtentsChecked(_id, check.Pool, check.Epoch, held, unknown), Self);
        }
        else if (!_attaching.Contains(check.Pool) && _pending.Values.All(p => p.Pool != check.Pool && !p.IsOpening))
        {
            ClosePool(check.Pool);
        }
    }

    private void Withdraw(PoolId id, Refusal why)
    {
        _attaching.Remove(id);
        if (_pools.Remove(id, out var pool))
        {
            _log.Warning("{Pool} was withdrawn: {Refusal}", id, why);
            pool.Withdraw(why);
        }
    }

    private void End(Refusal why)
    {
        _ended ??= why;
        foreach (var pool in _pools.Values)
        {
            pool.Withdraw(why);
        }

        foreach (var pending in _pending.Values)
        {
            pending.Answer.TrySetResult(new EngineProtocol.RequestRefused(_id, default, why));
        }

        _pools.Clear();
        _pending.Clear();
    }
}
