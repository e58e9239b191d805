using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Scheduling;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Sessions;

/// <content>Answers, memory that is asked back, and pools that end.</content>
internal sealed partial class SchedulerSession
{
    /// <summary>What the predecessor of a pool's scheduler left; the caller's from now on.</summary>
    public SafeFileHandle? TakePredecessorTags(PoolId pool) => _predecessorTags.Remove(pool, out var tags) ? tags : null;

    private void Answered(EngineProtocol.IReply reply)
    {
        if (!_pending.Remove(reply.Request.Value, out var pending))
        {
            AnsweredAgain(reply);
            return;
        }

        // Before the caller hears of it, so that it can allocate blocks of these pages at once; and also when it waits no more.
        if (reply is EngineProtocol.PagesAllocated allocated && _pools.TryGetValue(allocated.Pool, out var pool))
        {
            pool.Add(allocated.Extents);
        }

        if (reply is EngineProtocol.PoolOpened opened)
        {
            if (_pools.ContainsKey(opened.Pool))
            {
                // Two allocators over the same pages would hand out the same blocks.
                reply = new EngineProtocol.RequestRefused(Id, reply.Request, new Refusal(
                    RefusalReason.NameInUse, $"{opened.Pool} is open in this session already. Use the pool that was opened first."));
            }

            _openedPools.Add(opened.Pool);
        }

        pending.Complete(reply);
        switch (reply)
        {
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownSession } refused:
                End(refused.Refusal);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownPool } refused when pending.Pool != default:
                // Its withdrawal was lost on the way.
                Withdraw(pending.Pool, refused.Refusal);
                break;
        }
    }

    /// <summary>
    /// An answer to a request that was answered before. Mostly the same; but a copy of the request that was still on its way when a new
    /// coordinator took over was carried out a second time, and what came of that is given back.
    /// </summary>
    private void AnsweredAgain(EngineProtocol.IReply reply)
    {
        switch (reply)
        {
            case EngineProtocol.PagesAllocated allocated when _pools.TryGetValue(allocated.Pool, out var pool) && pool.FindForeign(allocated.Extents) is { IsEmpty: false } foreign:
                GiveBack(allocated.Pool, new GivenUpExtents(foreign, EngineStep.None));
                break;
            case EngineProtocol.PoolOpened opened when _ended is null && _openedPools.Add(opened.Pool):
                Submit(new PendingRequest((session, request, acked) => new EngineProtocol.ClosePool(session, request, acked, opened.Pool)) { Pool = opened.Pool });
                break;
        }
    }

    /// <summary>Answers a revoke, in one step with allocation.</summary>
    private void GiveUp(EngineProtocol.RevokeExtents revoke)
    {
        var pool = _pools.GetValueOrDefault(revoke.Pool);
        var givenUp = pool?.GiveUp(revoke.Extents) ?? GivenUpExtents.None;
        AnswerGivenUp(revoke.Pool, revoke.RevokeId, givenUp);
        pool?.TellRevoked(revoke.Extents, givenUp);
    }

    /// <summary>Gives up what goes at once; <see cref="GoOnShrinking"/> does the rest.</summary>
    private void Shrink(EngineProtocol.ShrinkRequested shrink)
    {
        var pool = _pools.GetValueOrDefault(shrink.Pool);
        var givenUp = pool?.Begin(shrink) ?? GivenUpExtents.None;
        AnswerGivenUp(shrink.Pool, shrink.ShrinkId, givenUp);
        pool?.TellShrink(shrink, givenUp);
    }

    /// <summary>Gives up what has become free since. True while any pool is still asked for more.</summary>
    private bool GoOnShrinking()
    {
        var isShrinking = false;
        foreach (var pool in _pools.Values)
        {
            while (pool.TryGoOnShrinking(out var shrink, out var givenUp))
            {
                AnswerGivenUp(pool.Id, shrink, givenUp);
                pool.TellShrunk();
            }

            isShrinking |= pool.IsShrinking;
        }

        return isShrinking;
    }

    private void AnswerGivenUp(PoolId pool, long question, GivenUpExtents givenUp)
    {
        if (!givenUp.IsEmpty)
        {
            // The answer may be lost, a request is sent until it is answered; it comes first, so that it isn't refused.
            GiveBack(pool, givenUp);
        }

        Tell(new EngineProtocol.RevokeAnswered(Id, pool, question, givenUp.Extents, givenUp.Fence));
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
            Tell(new EngineProtocol.ExtentsChecked(Id, check.Pool, check.Epoch, held, unknown));
        }
        else if (_pending.Values.All(p => p.Pool != check.Pool && p.Pool != default))
        {
            Submit(new PendingRequest((session, request, acked) => new EngineProtocol.ClosePool(session, request, acked, check.Pool)) { Pool = check.Pool });
        }
    }

    private void GiveBack(PoolId pool, GivenUpExtents extents) => Submit(new PendingRequest(
        (session, request, acked) => new EngineProtocol.FreeExtents(session, request, acked, pool, extents.Extents, extents.Fence),
        reply =>
        {
            switch ((reply as EngineProtocol.RequestRefused)?.Refusal.Reason)
            {
                case RefusalReason.Busy:
                    _returns.Enqueue((pool, extents));
                    break;
                case RefusalReason.StaleExtent when extents.Extents.Length > 1:
                    // One that is gone already must not keep the others.
                    foreach (var one in extents.Singly())
                    {
                        _returns.Enqueue((pool, one));
                    }

                    break;
                default:
                    _pools.GetValueOrDefault(pool)?.Returned(extents.Extents);
                    break;
            }
        })
    { Pool = pool });

    private void Withdraw(PoolId id, Refusal why)
    {
        if (_pools.TryGetValue(id, out var pool))
        {
            if (why.Reason != RefusalReason.PoolLost)
            {
                // One that lost memory may still be in use, and is the session's until it is closed.
                _pools.Remove(id);
            }

            pool.Withdraw(why);
        }
    }

    private void Discard(PoolId pool) => TakePredecessorTags(pool)?.Dispose();
}
