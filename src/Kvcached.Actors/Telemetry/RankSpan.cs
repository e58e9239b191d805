using System.Buffers.Binary;
using System.Diagnostics;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using static Kvcached.Actors.Telemetry.KvcachedTraces;

namespace Kvcached.Actors.Telemetry;

/// <summary>A rank's span of one decision, below the coordinator's in another process. Null stands for one that isn't recorded.</summary>
internal sealed class RankSpan
{
    private readonly Activity _activity;

    private RankSpan(Activity activity) => _activity = activity;

    /// <summary>Begins it; null when nobody listens on this host, or it names no trace.</summary>
    public static RankSpan? Begin(Decision decision, TraceLink link, GpuId gpu)
    {
        if (!Source.HasListeners() || link.TraceId == 0 || link.SpanId == 0)
        {
            return null;
        }

        var name = decision.Kind switch { DecisionKind.Map => RankMap, DecisionKind.Unmap => RankUnmap, _ => RankAbort };
        KeyValuePair<string, object?>[] tags =
        [
            new(GpuTag, gpu.Value),
            new(PoolTag, decision.Pool.ToString()),
            new(EpochTag, decision.Epoch.Counter),
            new(SeqTag, decision.Seq),
        ];
        using var quiet = new QuietSpans();
        return Source.StartActivity(name, ActivityKind.Internal, ContextOf(link), tags) is { IsAllDataRequested: true } activity ? new RankSpan(activity) : null;
    }

    /// <summary>Notes what it waits for.</summary>
    public void Note(string what) => _activity.AddEvent(new ActivityEvent(what));

    /// <summary>The rank answers.</summary>
    public void End(RankProtocol.IReply reply)
    {
        using var quiet = new QuietSpans();
        if (reply is RankProtocol.Decided { Answer: var answer })
        {
            _activity.SetTag(OutcomeTag, answer.Outcome.ToString()).SetTag(DriverTag, answer.DriverMicroseconds);
            _activity.SetStatus(answer.Outcome == DecisionOutcome.Applied ? ActivityStatusCode.Ok : ActivityStatusCode.Error, answer.Refusal?.ToString());
        }

        _activity.Stop();
    }

    private static ActivityContext ContextOf(TraceLink link)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, link.TraceId);
        var trace = ActivityTraceId.CreateFromBytes(bytes);
        BinaryPrimitives.WriteInt64BigEndian(bytes, link.SpanId);
        return new ActivityContext(trace, ActivitySpanId.CreateFromBytes(bytes[..8]), ActivityTraceFlags.Recorded, isRemote: true);
    }
}
