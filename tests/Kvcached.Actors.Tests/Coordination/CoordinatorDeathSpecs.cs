using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>
/// The coordinator ends at every point of a decision: after each message, in every order in which messages can arrive. No page is granted twice and none is
/// lost, the engine's request has its one answer, and what another engine has mapped is left alone.
/// </summary>
public class CoordinatorDeathSpecs
{
    public enum Request
    {
        Grow,
        GrowThatOneRankRefuses,
        Free,
        FreeThatSticks,
    }

    /// <summary>What ends with the coordinator.</summary>
    public enum Loss
    {
        /// <summary>Only its actor: it moves, and every rank lives on.</summary>
        Nothing,

        /// <summary>The host of the first rank, whose workers keep what they have mapped.</summary>
        FirstHost,

        /// <summary>The host of the second rank, at the same time.</summary>
        SecondHost,
    }

    public static TheoryData<Request, Loss> All
    {
        get
        {
            var all = new TheoryData<Request, Loss>();
            foreach (var request in Enum.GetValues<Request>())
            {
                foreach (var loss in Enum.GetValues<Loss>())
                {
                    all.Add(request, loss);
                }
            }

            return all;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Decision_should_come_out_one_way_or_the_other_wherever_its_coordinator_ends(Request request, Loss loss)
    {
        var points = 0;
        var paths = new Stack<ImmutableArray<int>>([[]]);
        while (paths.TryPop(out var path))
        {
            var scene = new Scene(request);
            foreach (var link in path)
            {
                scene.Domain.Deliver(scene.Domain.Links[link]);
            }

            for (var link = 0; link < scene.Domain.Links.Count; link++)
            {
                if (scene.Domain.Links[link].CanDeliver)
                {
                    paths.Push(path.Add(link));
                }
            }

            scene.End(loss, path);
            points++;
        }

        Assert.InRange(points, 15, 5_000);
    }

    /// <summary>Two engines with a pool over two ranks each, one of which is about to change.</summary>
    private sealed class Scene
    {
        private readonly SimulatedEngine _engine;
        private readonly SimulatedEngine _other;
        private readonly PoolId _pool;
        private readonly PoolId _live;
        private readonly RequestId _request;
        private readonly Extent[] _kept;

        public Scene(Request request)
        {
            Domain = new SimulatedDomain(2);
            (_engine, _pool) = Domain.AddWorkerPool("w");
            (_other, _live) = Domain.AddWorkerPool("live");
            _other.Grow(_live, 5);
            var before = _engine.Grow(_pool, 3);
            Domain.Settle();
            _kept = [.. _other.Held[_live]];
            var held = _engine.GrantOf(before);
            switch (request)
            {
                case Request.Grow:
                    _request = _engine.Grow(_pool, 4, deadlineSeconds: 60);
                    break;
                case Request.GrowThatOneRankRefuses:
                    Domain.Ranks[1].RefusesMaps = 1;
                    _request = _engine.Grow(_pool, 4, deadlineSeconds: 60);
                    break;
                case Request.Free:
                    _request = _engine.Free(_pool, held[0]);
                    break;
                default:
                    Domain.Ranks[1].SticksOn = 1;
                    _request = _engine.Free(_pool, held[0]);
                    break;
            }
        }

        public SimulatedDomain Domain { get; }

        public void End(Loss loss, ImmutableArray<int> path)
        {
            var at = $"After {string.Join(", ", path.Select(link => Domain.Links[link].Name))}";
            var sent = new[] { Domain.ToRank(0).Sent.Count, Domain.ToRank(1).Sent.Count };
            var host = loss - Loss.FirstHost;
            if (host >= 0)
            {
                Domain.KillHost(host, isNoticed: false);
            }

            Domain.TakeOver();
            Domain.Advance(4);
            if (host >= 0)
            {
                IsLeftAlone(sent, at);
                Domain.ReviveHost(host);
                Domain.Advance(2);
                IsLeftAlone(sent, at);
                Domain.RecoverHost(host);
            }

            Domain.Advance(6);
            IsLeftAlone(sent, at);
            Assert.True(_engine.Answers.ContainsKey(_request), $"{at}: the request has no answer.");
            Assert.Empty(_engine.Withdrawn);
            Assert.Empty(_other.Withdrawn);
            QuietRules.CheckQuiet(Domain);
            QuietRules.CheckConfirmed(Domain);
            NothingIsGrantedTwice(at);

            var more = _engine.Grow(_pool, 2);
            Domain.Advance(1);
            Assert.Equal(2, _engine.GrantOf(more).Sum(e => e.PageCount));
            QuietRules.CheckQuiet(Domain);
        }

        /// <summary>The other pool has all that it had, and no rank was ever told to take any of it away.</summary>
        private void IsLeftAlone(int[] sentBefore, string at)
        {
            Assert.True(_other.Held[_live].SetEquals(_kept), $"{at}: the other engine holds {string.Join(", ", _other.Held[_live])}.");
            for (var rank = 0; rank < 2; rank++)
            {
                Assert.True(Domain.Ranks[rank].Pools[_live].Mapped.SetEquals(_kept), $"{at}: rank {rank} has {string.Join(", ", Domain.Ranks[rank].Pools[_live].Mapped)} of the other pool.");
                foreach (var mail in Domain.ToRank(rank).Sent.Skip(sentBefore[rank]).Cast<SimulatedDomain.Mail>())
                {
                    var isTakenAway = mail.Message switch
                    {
                        RankProtocol.CloseRankPool close => close.Pool == _live,
                        RankProtocol.Decide { Decision: { Kind: not DecisionKind.Map } decision } => decision.Pool == _live,
                        RankProtocol.InstallTable install => install.Pool == _live && !_kept.All(install.Entries.Select(e => e.Extent).Contains),
                        _ => false,
                    };
                    Assert.False(isTakenAway, $"{at}: rank {rank} was told {mail.Message}.");
                }
            }
        }

        /// <summary>Each grant that was ever told names other extents, unless it is the same answer again.</summary>
        private void NothingIsGrantedTwice(string at)
        {
            var grants = Domain.ToEngine(_engine).Sent.OfType<EngineProtocol.PagesAllocated>();
            foreach (var request in grants.SelectMany(g => g.Extents.Select(extent => (Extent: extent, g.Request))).Distinct().GroupBy(g => g.Extent))
            {
                Assert.True(request.Count() == 1, $"{at}: {request.Key} was granted to {string.Join(" and ", request.Select(g => g.Request))}.");
            }
        }
    }
}
