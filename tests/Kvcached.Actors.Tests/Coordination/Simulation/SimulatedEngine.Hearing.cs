using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <content>What an engine does with what it is told.</content>
internal sealed partial class SimulatedEngine
{
    public void Receive(EngineProtocol.IMessage message)
    {
        if (message.Session != Session)
        {
            return;
        }

        switch (message)
        {
            case EngineProtocol.IReply reply when _pending.Remove(reply.Request.Value, out var pending):
                Answers.Add(reply.Request, reply);
                Take(reply, pending.Request);
                break;
            case EngineProtocol.IReply reply:
                TakeAgain(reply);
                break;
            case EngineProtocol.ShrinkRequested shrink:
                Events.Add(shrink);
                Shrink(shrink);
                break;
            case EngineProtocol.RevokeExtents revoke:
                Events.Add(revoke);
                GiveUp(revoke);
                break;
            case EngineProtocol.CheckExtents check:
                Events.Add(check);
                Check(check);
                break;
            case EngineProtocol.PoolWithdrawn withdrawn:
                Events.Add(withdrawn);
                Withdrawn[withdrawn.Pool] = withdrawn.Refusal;
                if (Held.Remove(withdrawn.Pool, out var lost) && domain.IsLost(withdrawn.Pool))
                {
                    Lost.Add(withdrawn.Pool, (domain.Now, lost));
                }

                break;
            case EngineProtocol.SessionOpened opened:
                Events.Add(opened);
                _openedAt = domain.Now;
                break;
            case EngineProtocol.SessionRefused { Refusal.Reason: RefusalReason.UnknownSession } refused when Events.Any(e => e is EngineProtocol.SessionOpened) && Renews:
                Events.Add(refused);
                End(refused.Refusal);
                break;
            case EngineProtocol.IEvent other:
                Events.Add(other);
                break;
        }
    }

    private void Take(EngineProtocol.IReply reply, EngineProtocol.IRequest request)
    {
        switch (reply)
        {
            case EngineProtocol.PoolOpened opened:
                // One that it has open already is none the more so.
                _opened.Add(opened.Pool);
                Held.TryAdd(opened.Pool, [.. opened.Extents]);
                break;
            case EngineProtocol.PagesAllocated allocated when Held.TryGetValue(allocated.Pool, out var held):
                held.UnionWith(allocated.Extents);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.Busy } when request is EngineProtocol.FreeExtents free:
                Held[free.Pool].UnionWith(free.Extents);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownSession } refused:
                End(refused.Refusal);
                break;
            case EngineProtocol.RequestRefused { Refusal.Reason: RefusalReason.UnknownPool } refused when request is EngineProtocol.AllocatePages a:
                Withdrawn.TryAdd(a.Pool, refused.Refusal);
                Held.Remove(a.Pool);
                break;
        }
    }

    private void TakeAgain(EngineProtocol.IReply reply)
    {
        if (reply.Request.Value > _ackedThrough && Answers.TryGetValue(reply.Request, out var first) && !IsSame(first, reply)
            && domain.TakeOverCount == 0)
        {
            throw new BrokenRuleException($"{reply.Request} of {Name} was answered with {first} and then with {reply}.");
        }

        if (reply is EngineProtocol.PagesAllocated allocated && Held.TryGetValue(allocated.Pool, out var held))
        {
            // A copy of an old request, carried out by a new coordinator.
            var foreign = allocated.Extents.Where(e => !held.Contains(e) && !IsReturning(e)).ToImmutableArray();
            if (!foreign.IsEmpty)
            {
                Free(allocated.Pool, foreign);
            }
        }
        else if (reply is EngineProtocol.PoolOpened opened && _opened.Add(opened.Pool))
        {
            Close(opened.Pool);
        }
    }

    private void Shrink(EngineProtocol.ShrinkRequested shrink)
    {
        if (GivesUp is null)
        {
            return;
        }

        var givenUp = ImmutableArray.CreateBuilder<Extent>();
        var bytes = 0L;
        foreach (var extent in Held.TryGetValue(shrink.Pool, out var held) ? held.Where(e => GivesUp(e)).OrderBy(e => e.First.Value) : Enumerable.Empty<Extent>())
        {
            if (bytes < shrink.Wanted.Max(w => w.ByteCount))
            {
                givenUp.Add(extent);
                bytes += extent.PageCount * TestPools.PageBytes;
            }
        }

        if (givenUp.Count > 0)
        {
            Free(shrink.Pool, givenUp.ToImmutable());
        }

        domain.FromEngine(this, new EngineProtocol.RevokeAnswered(Session, shrink.Pool, shrink.ShrinkId, givenUp.ToImmutable(), EngineStep.None));
    }

    private void GiveUp(EngineProtocol.RevokeExtents revoke)
    {
        if (GivesUp is null)
        {
            return;
        }

        ImmutableArray<Extent> givenUp = Held.TryGetValue(revoke.Pool, out var held) ? [.. revoke.Extents.Where(e => held.Contains(e) && GivesUp(e))] : [];
        if (!givenUp.IsEmpty)
        {
            Free(revoke.Pool, givenUp);
        }

        domain.FromEngine(this, new EngineProtocol.RevokeAnswered(Session, revoke.Pool, revoke.RevokeId, givenUp, EngineStep.None));
    }

    private void Check(EngineProtocol.CheckExtents check)
    {
        if (Held.TryGetValue(check.Pool, out var held) || (Lost.TryGetValue(check.Pool, out var lost) && (held = lost.Extents) is not null))
        {
            domain.FromEngine(this, new EngineProtocol.ExtentsChecked(
                Session, check.Pool, check.Epoch, [.. check.Extents.Select(e => e.Extent).Where(held.Contains)],
                [.. check.Extents.Where(e => !held.Contains(e.Extent) && !IsReturning(e.Extent) && !_pending.ContainsKey(e.Request.Value)).Select(e => e.Extent)]));
        }
        else if (!PendingRequests.Any(r => r is EngineProtocol.OpenPool || (r is EngineProtocol.ClosePool close && close.Pool == check.Pool)))
        {
            Close(check.Pool);
        }
    }

    /// <summary>True while its return has no answer: it may be refused.</summary>
    private bool IsReturning(Extent extent) => PendingRequests.OfType<EngineProtocol.FreeExtents>().Any(f => f.Extents.Contains(extent));

    private static bool IsSame(EngineProtocol.IReply left, EngineProtocol.IReply right) => (left, right) switch
    {
        (EngineProtocol.PagesAllocated a, EngineProtocol.PagesAllocated b) => a.Extents.SequenceEqual(b.Extents),
        (EngineProtocol.PoolOpened a, EngineProtocol.PoolOpened b) => a.Pool == b.Pool,
        _ => left == right,
    };
}
