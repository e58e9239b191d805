using System.Collections.Immutable;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks.Decisions;

/// <summary>
/// A coordinator in the middle of its life, without actors and without I/O: its ranks have three pools, and the pool that is measured
/// has many extents mapped. The rig answers for ranks and engine; messages are made beforehand, as a deserializer would have made them.
/// </summary>
internal sealed class DecisionRig
{
    private const int PagesPerRequest = 16;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private readonly RecordingPort _port = new();
    private readonly DomainState _domain;
    private readonly Epoch _epoch = new(1, 1);
    private readonly SessionId _session = SessionId.New();
    private readonly ImmutableArray<GpuId> _gpus;
    private readonly HostIncarnation _incarnation = HostIncarnation.New();
    private readonly RankProtocol.Decided[] _answers;
    private readonly PoolId _pool;
    private TimeSpan _now = TimeSpan.FromSeconds(1);
    private LayoutDigest _digest;
    private long _lastRequest;

    public DecisionRig(int rankCount, int mappedExtentCount)
    {
        _gpus = [.. Enumerable.Range(0, rankCount).Select(i => GpuId.Parse($"GPU-{i:x8}-1c3f-4a6e-9d2b-0f5e7a881234"))];
        _answers = new RankProtocol.Decided[rankCount];
        _domain = new DomainState(_epoch, new CoordinatorSettings { Domain = "bench", ExpectedHosts = rankCount }, _port, _now);
        _domain.OpenSession(_now, new EngineProtocol.OpenSession(_session, "bench", "bench"));
        var pageCount = (mappedExtentCount + 4) * PagesPerRequest;
        foreach (var gpu in _gpus)
        {
            _domain.RegisterRank(
                _now,
                new RankProtocol.RegisterRank(gpu, _incarnation, "bench", Akka.Actor.ActorRefs.Nobody, pageCount * Geometries.BytesPerPageId * 4, 2 << 20, "host", "bench", default),
                "bench");
            _domain.RankReported(_now, new RankProtocol.RankReported(gpu, _incarnation, _epoch, []));
        }

        Open("neighbour-a", pageCount);
        Open("neighbour-b", pageCount);
        _pool = Open("measured", pageCount);
        for (var i = 0; i < mappedExtentCount; i++)
        {
            AnswerAll(Decide(NextMap()));
        }
    }

    /// <summary>A request for 16 pages.</summary>
    public EngineProtocol.IRequest NextMap()
    {
        Advance();
        return new EngineProtocol.AllocatePages(_session, new RequestId(++_lastRequest), new RequestId(_lastRequest - 1), _pool, 0, PagesPerRequest, Deadline);
    }

    /// <summary>The return of what the last map granted.</summary>
    public EngineProtocol.IRequest NextUnmap()
    {
        Advance();
        var granted = ((EngineProtocol.PagesAllocated)_port.LastAnswer!).Extents;
        return new EngineProtocol.FreeExtents(_session, new RequestId(++_lastRequest), new RequestId(_lastRequest - 1), _pool, granted, EngineStep.None);
    }

    /// <summary>Request in, decision out to every rank.</summary>
    public void Receive(EngineProtocol.IRequest request) => _domain.Receive(_now, request);

    /// <summary>The ranks' answers to the last decision.</summary>
    public RankProtocol.Decided[] MakeAnswers()
    {
        var decision = _port.LastDecision!;
        foreach (var extent in decision.Extents)
        {
            _digest = decision.Kind == DecisionKind.Map ? _digest.With(extent) : _digest.Without(extent);
        }

        for (var rank = 0; rank < _answers.Length; rank++)
        {
            _answers[rank] = new RankProtocol.Decided(new DecisionAnswer(
                decision.Pool, decision.Epoch, decision.Seq, decision.Seq, _gpus[rank], _incarnation, DecisionOutcome.Applied, _digest, null, [], 30));
        }

        return _answers;
    }

    /// <summary>Takes the ranks' answers in; with the last one the engine is answered.</summary>
    public void Take(RankProtocol.Decided[] answers)
    {
        foreach (var answer in answers)
        {
            _domain.Decided(_now, answer.Answer);
        }
    }

    /// <summary>Makes sure that the last request was carried out, by as many commands as there are ranks.</summary>
    public void Check<TAnswer>(int decisionCountBefore)
    {
        if (_port.LastAnswer is not TAnswer || _port.DecisionCount != decisionCountBefore + _gpus.Length)
        {
            throw new InvalidOperationException($"{typeof(TAnswer).Name} was expected after {_gpus.Length} commands; {_port.LastAnswer} came after {_port.DecisionCount - decisionCountBefore}.");
        }
    }

    public int DecisionCount => _port.DecisionCount;

    private EngineProtocol.IRequest Decide(EngineProtocol.IRequest request)
    {
        Receive(request);
        return request;
    }

    private void AnswerAll(EngineProtocol.IRequest request)
    {
        Take(MakeAnswers());
        if (_port.LastAnswer is not EngineProtocol.PagesAllocated)
        {
            throw new InvalidOperationException($"{request} was answered with {_port.LastAnswer}.");
        }
    }

    // Time passes, but no lease ends.
    private void Advance() => _now += TimeSpan.FromTicks(1);

    private PoolId Open(string name, int pageCount)
    {
        _domain.Receive(_now, new EngineProtocol.OpenPool(
            _session, new RequestId(++_lastRequest), new RequestId(_lastRequest - 1),
            new PoolSpec(name, Geometries.Of(_gpus, pageCount), PoolTarget.Host, 0, 0, 1)));
        var pool = PoolId.Create(_epoch.Counter, ++_openPoolCount);
        foreach (var gpu in _gpus)
        {
            _domain.RankPoolAnswered(_now, new RankProtocol.RankPoolAnswer(gpu, _incarnation, _epoch, pool, true, null));
        }

        return _port.LastAnswer is EngineProtocol.PoolOpened opened ? opened.Pool : throw new InvalidOperationException($"No pool: {_port.LastAnswer}");
    }

    private int _openPoolCount;
}
