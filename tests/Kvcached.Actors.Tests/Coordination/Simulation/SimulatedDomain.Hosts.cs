using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <content>Hosts and coordinators that end and begin anew, and workers that come and go.</content>
internal sealed partial class SimulatedDomain
{
    /// <summary>The coordinator's process ends, and another one takes over under a higher epoch. What was on its way from ranks to the old one is lost.</summary>
    public void TakeOver()
    {
        var highest = Ranks.Select(r => r.HighestEpoch.Counter).Append(Coordinator.Epoch.Counter).Append(SteppedDownFor?.Counter ?? 0).Max();
        Coordinator = new DomainState(new Epoch(highest + 1, 1), _settings, this, Now);
        SteppedDownFor = null;
        TakeOverCount++;
        foreach (var rank in Ranks)
        {
            Register(rank);
        }
    }

    /// <summary>The pool's worker on a rank attaches, is lost but lives, or dies.</summary>
    public void SetWorker(int index, PoolId pool, RankWorker worker, bool isAlive = false)
    {
        var rank = Ranks[index];
        rank.Pools[pool].Worker = worker;
        rank.Pools[pool].IsWorkerOutOfReach = worker == RankWorker.Gone && isAlive;
        _rankLinks[rank.Gpu].Up.Send(new Mail(new RankProtocol.WorkerChanged(rank.Gpu, rank.Incarnation, pool, worker), Coordinator.Epoch));
    }

    public void Register(SimulatedRank rank)
    {
        if (!rank.IsDown)
        {
            _rankLinks[rank.Gpu].Up.Send(new Mail(rank.Registration, null));
        }
    }

    /// <summary>A host is killed; its workers live on. The coordinator may learn of it at once, or by its next life.</summary>
    public void KillHost(int index, bool isNoticed)
    {
        var rank = Ranks[index];
        if (isNoticed)
        {
            Coordinator.RankLost(Now, rank.Gpu, rank.Incarnation, "its node left the cluster");
        }

        rank.Kill();
        _rankLinks[rank.Gpu].Down.Clear();
        Check();
    }

    /// <summary>A host that was killed is started again.</summary>
    public void ReviveHost(int index)
    {
        Ranks[index].Revive();
        Register(Ranks[index]);
    }

    /// <summary>All workers have handed over what they kept of that host, or have ended.</summary>
    public void RecoverHost(int index)
    {
        Ranks[index].Recover();
        Register(Ranks[index]);
    }

    /// <summary>The cluster has removed the rank's node; another life of it starts.</summary>
    public void RestartRank(int index)
    {
        var rank = Ranks[index];
        Coordinator.RankLost(Now, rank.Gpu, rank.Incarnation, "its node left the cluster");
        rank.Restart();
        Register(rank);
        Check();
    }

    /// <summary>Nothing is held, lost or doubled any more, and ranks do what they are told.</summary>
    public void Heal()
    {
        foreach (var link in Links)
        {
            link.Heal();
        }

        foreach (var engine in Engines)
        {
            engine.ClosesLost = true;
        }

        for (var rank = 0; rank < Ranks.Count; rank++)
        {
            if (Ranks[rank].IsDown)
            {
                ReviveHost(rank);
            }

            if (Ranks[rank].IsRecovering)
            {
                RecoverHost(rank);
            }
        }

        foreach (var rank in Ranks)
        {
            rank.RefusesMaps = rank.SticksOn = rank.ShowsWrongDigests = 0;
            rank.StaysStuck = false;
            rank.RefusesToOpen = null;
            rank.BytesTakenByOthers = 0;
        }
    }
}
