using System.Buffers.Binary;
using System.Diagnostics;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using static Kvcached.Actors.Telemetry.KvcachedTraces;

namespace Kvcached.Actors.Telemetry;

/// <summary>
/// The coordinator's span of one decision. Null stands for one that isn't recorded, so that without a listener nothing is made. Its time is the wall clock's; what
/// the coordinator decides by is another clock.
/// </summary>
internal sealed class DecisionSpan
{
    private readonly Activity _activity;

    private DecisionSpan(Activity activity) => _activity = activity;

    /// <summary>Begins it; null when nobody listens, or this one isn't recorded.</summary>
    /// <param name="decision">The decision.</param>
    /// <param name="poolName">The pool's name.</param>
    /// <param name="waited">How long ago what it answers arrived; the span begins then.</param>
    /// <param name="undone">For an abort, the span of the map that it undoes.</param>
    public static DecisionSpan? Begin(Decision decision, string poolName, TimeSpan waited, DecisionSpan? undone = null) =>
        Source.HasListeners() ? BeginHeard(decision, poolName, waited, undone) : null;

    /// <summary>The command that carries the decision to a rank.</summary>
    public static RankProtocol.ICommand CommandFor(Decision decision, DecisionSpan? span) =>
        span is null ? new RankProtocol.Decide(decision) : new RankProtocol.DecideTraced(decision, span.Link);

    /// <summary>Every rank has answered as expected, or the decision stands without.</summary>
    public void Land() => End("landed", null);

    /// <summary>It ended without having been carried out by all.</summary>
    public void Fail(RefusalReason reason, string detail) => End(reason.ToString(), detail);

    private TraceLink Link
    {
        get
        {
            Span<byte> bytes = stackalloc byte[16];
            _activity.TraceId.CopyTo(bytes);
            var trace = BinaryPrimitives.ReadUInt128BigEndian(bytes);
            _activity.SpanId.CopyTo(bytes[..8]);
            return new TraceLink(trace, BinaryPrimitives.ReadInt64BigEndian(bytes));
        }
    }

    private static DecisionSpan? BeginHeard(Decision decision, string poolName, TimeSpan waited, DecisionSpan? undone)
    {
        var name = decision.Kind switch { DecisionKind.Map => Map, DecisionKind.Unmap => Unmap, _ => Abort };
        KeyValuePair<string, object?>[] tags =
        [
            new(PoolTag, poolName),
            new(EpochTag, decision.Epoch.Counter),
            new(SeqTag, decision.Seq),
            new(SessionTag, decision.Session.Value.ToString()),
            new(RequestTag, decision.Request.Value),
            new(ExtentsTag, decision.Extents.Length),
            new(PagesTag, decision.Extents.Sum(extent => (long)extent.PageCount)),
            .. decision.AbortedSeq == 0 ? [] : new KeyValuePair<string, object?>[] { new(AbortedTag, decision.AbortedSeq) },
        ];
        using var quiet = new QuietSpans();
        if (Source.CreateActivity(name, ActivityKind.Internal, undone?._activity.Context ?? default, tags) is not { IsAllDataRequested: true } activity)
        {
            return null;
        }

        var now = TimeProvider.System.GetUtcNow();
        activity.SetStartTime((now - waited).UtcDateTime).Start();
        activity.AddEvent(new ActivityEvent(DecidedEvent, now));
        return new DecisionSpan(activity);
    }

    private void End(string outcome, string? problem)
    {
        if (_activity.IsStopped)
        {
            // What ended it first counts: a return whose deadline has passed goes on as if all had answered.
            return;
        }

        using var quiet = new QuietSpans();
        _activity.SetTag(OutcomeTag, outcome).SetStatus(problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, problem).Stop();
    }
}
