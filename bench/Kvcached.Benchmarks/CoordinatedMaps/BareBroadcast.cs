using System.Collections.Immutable;
using System.Diagnostics;
using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>
/// What a coordinated map is compared with: asked for by the same message from another process, sends a decision to an actor in each host and
/// answers when all have replied; nothing is decided and nothing mapped. The same messages, the same serializer.
/// </summary>
internal sealed class BareBroadcast(ImmutableArray<IActorRef> echoes, BareBroadcast.Recording recording) : UntypedActor
{
    public const string Name = "bench-broadcast";
    private const int PagesPerExtent = 16;

    private RankProtocol.Decide? _command;
    private EngineProtocol.AllocatePages? _request;
    private IActorRef _requester = ActorRefs.Nobody;
    private long _startedAt;
    private int _missing;
    private int _repetitions;
    private long _seq;

    /// <summary>Microseconds of each broadcast; read when nothing is going on.</summary>
    internal sealed class Recording
    {
        public List<double> Asked { get; } = [];

        public List<double> Repeated { get; } = [];
    }

    public static Props Props(ImmutableArray<IActorRef> echoes, Recording recording) => Akka.Actor.Props.Create(() => new BareBroadcast(echoes, recording));

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case EngineProtocol.AllocatePages request:
                // The KV group of the request says how many broadcasts follow the first one.
                _startedAt = Stopwatch.GetTimestamp();
                _request = request;
                _requester = Sender;
                _repetitions = request.Group;
                Broadcast();
                break;
            case RankProtocol.Decided when --_missing == 0:
                Gathered();
                break;
        }
    }

    private void Broadcast()
    {
        var extents = ImmutableArray.CreateBuilder<Extent>();
        for (var page = 0; page < _request!.PageCount; page += PagesPerExtent)
        {
            extents.Add(new Extent(0, new PageId(page), 4, (uint)_seq + 1));
        }

        _command = new RankProtocol.Decide(new Decision(
            _request.Pool, new Epoch(1, 1), ++_seq, DecisionKind.Map, extents.ToImmutable(), 0, _request.Session, _request.Request, _request.AckedThrough, EngineStep.None));
        _missing = echoes.Length;
        foreach (var echo in echoes)
        {
            echo.Tell(_command, Self);
        }
    }

    private void Gathered()
    {
        var isAsked = _repetitions == _request!.Group;
        if (_repetitions-- == 0)
        {
            _requester.Tell(new EngineProtocol.PagesAllocated(_request.Session, _request.Request, _request.Pool, _command!.Decision.Extents), Self);
        }

        var now = Stopwatch.GetTimestamp();
        (isAsked ? recording.Asked : recording.Repeated).Add((now - _startedAt) * 1e6 / Stopwatch.Frequency);
        if (_repetitions >= 0)
        {
            _startedAt = Stopwatch.GetTimestamp();
            Broadcast();
        }
    }
}

/// <summary>Answers a decision at once, with an answer of the size that a rank gives.</summary>
internal sealed class Echo(GpuId gpu, HostIncarnation incarnation) : UntypedActor
{
    public const string Name = "bench-echo";

    public static Props Props(GpuId gpu, HostIncarnation incarnation) => Akka.Actor.Props.Create(() => new Echo(gpu, incarnation));

    protected override void OnReceive(object message)
    {
        if (message is RankProtocol.Decide { Decision: var decision })
        {
            Sender.Tell(
                new RankProtocol.Decided(new DecisionAnswer(
                    decision.Pool, decision.Epoch, decision.Seq, decision.Seq, gpu, incarnation, DecisionOutcome.Applied,
                    LayoutDigest.Empty, null, [], 0)),
                Self);
        }
    }
}
