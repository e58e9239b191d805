using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Draining a GPU before its host is stopped: nothing new is opened or granted there, what is warm is given back, and what is under way comes to its end. The rank keeps that
/// it is drained, so that it outlives a coordinator; and ends it with its host, since the next life is what it was drained for.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>An operator has a GPU drained, or not any more, or asks how far it is.</summary>
    public void DrainGpu(TimeSpan now, long ticket, OperatorProtocol.DrainGpu command)
    {
        _now = now;
        var found = GpusNamed(command.Gpu, _ranks.Keys);
        if (found is not [var gpu])
        {
            RefuseOperator(ticket, new Refusal(RefusalReason.UnknownGpu, $"'{command.Gpu}' names {found.Length} GPUs of domain '{_settings.Domain}', not one. Known: {string.Join(", ", _ranks.Keys.Order())}."));
            return;
        }

        var view = _ranks[gpu];
        if (view.IsDraining != command.IsDraining)
        {
            view.UnconfirmedDraining = command.IsDraining;
            SetDraining(view, command.IsDraining);
            _port.ToRank(view.Gpu, new RankProtocol.SetDraining(Epoch, command.IsDraining));
        }

        _port.ToOperator(ticket, DescribeDrain(view));
    }

    /// <summary>The rank says whether it is drained: what an operator has told this coordinator counts until the rank has heard of it.</summary>
    private void TakeDraining(RankView view, bool isDraining)
    {
        if (view.UnconfirmedDraining is not { } wanted)
        {
            SetDraining(view, isDraining);
        }
        else if (wanted == isDraining)
        {
            view.UnconfirmedDraining = null;
        }
        else
        {
            _port.ToRank(view.Gpu, new RankProtocol.SetDraining(Epoch, wanted));
        }
    }

    private void SetDraining(RankView view, bool isDraining)
    {
        if (view.IsDraining == isDraining)
        {
            return;
        }

        view.IsDraining = isDraining;
        _ranksVersion++;
        Note(DomainEventKinds.Draining, isDraining ? "nothing new is lent there; what is under way ends" : "it lends again", gpu: view.Gpu);
        FollowDrain(view);
        foreach (var pool in PoolsOn(view.Gpu))
        {
            Pump(pool);
        }
    }

    private void FollowDrains()
    {
        foreach (var view in _ranks.Values)
        {
            FollowDrain(view);
        }
    }

    /// <summary>What has become warm since is given back too.</summary>
    private void FollowDrain(RankView view)
    {
        if (!view.IsDraining || !view.IsAvailable)
        {
            return;
        }

        foreach (var pool in PoolsOn(view.Gpu))
        {
            var spare = pool.Warm.IsEmpty ? [] : ChooseSpare(pool, long.MaxValue);
            if (!spare.IsEmpty)
            {
                AskForWarm(pool, spare, ticket: 0);
            }
        }
    }

    private PoolState[] PoolsOn(GpuId gpu) => [.. _pools.Values.Where(pool => pool.RankOf(gpu) >= 0)];

    private OperatorProtocol.GpuDrained DescribeDrain(RankView view)
    {
        ImmutableArray<DrainedPool> pools =
        [
            .. PoolsOn(view.Gpu).OrderBy(pool => pool.Id).Select(pool => new DrainedPool(
                pool.Spec.Name, view.Ledger.TryFind(pool.Id, out var entry) ? entry.HeldBytes : 0, pool.NeedsWorkers, DescribeUnderWay(pool, pool.RankOf(view.Gpu)))),
        ];
        return new OperatorProtocol.GpuDrained(view.Gpu, view.IsDraining, view.IsDraining && pools.All(pool => pool.Awaited.Length == 0), pools);
    }

    /// <summary>For people: what a host that is stopped now would interrupt; empty when nothing.</summary>
    private string DescribeUnderWay(PoolState pool, int rank) =>
        pool.Phase is not (PoolPhase.Ready or PoolPhase.Stranded or PoolPhase.Lost) ? $"it is {pool.Phase.ToString().ToLowerInvariant()}"
        : pool.Flight is not null ? "a decision is under way"
        : pool.Frees.Count > 0 || pool.Leaving.Extents.Any(extent => pool.Leaving.IsHeldBy(extent, rank) && !pool.Leaving.IsQuarantinedOn(extent, rank)) ? "memory is on its way back"
        : _revokes.Values.Any(revoke => ReferenceEquals(revoke.Pool, pool)) ? "its engine is asked for what it doesn't use"
        : string.Empty;

    private static Refusal WhyDraining(GpuId gpu) =>
        new(RefusalReason.Draining, $"{gpu} is being drained, so that its host can be stopped; nothing new is lent there. What is mapped stays. Try again when it is back.");
}
