using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Decisions;

namespace Kvcached.Core.Contracts;

/// <summary>Decisions and their answers on the wire.</summary>
public static class WireDecisions
{
    public static void WriteDecision(this ref WireWriter writer, Decision decision)
    {
        writer.WritePoolId(decision.Pool);
        writer.WriteEpoch(decision.Epoch);
        writer.WriteInt64(decision.Seq);
        writer.WriteByte((byte)decision.Kind);
        writer.WriteInt64(decision.AbortedSeq);
        writer.WriteSessionId(decision.Session);
        writer.WriteRequestId(decision.Request);
        writer.WriteRequestId(decision.AckedThrough);
        writer.WriteExtents(decision.Extents);
        writer.WriteEngineStep(decision.Fence);
    }

    /// <summary>Reads a decision; a kind that isn't defined is a fault.</summary>
    public static bool TryReadDecision(this ref WireReader reader, [NotNullWhen(true)] out Decision? decision)
    {
        decision = null;
        if (!reader.TryReadPoolId(out var pool) || !reader.TryReadEpoch(out var epoch) || !reader.TryReadInt64(out var seq)
            || !reader.TryReadByte(out var kind))
        {
            return false;
        }

        if ((DecisionKind)kind is < DecisionKind.Map or > DecisionKind.Abort)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadInt64(out var abortedSeq) || !reader.TryReadSessionId(out var session) || !reader.TryReadRequestId(out var request)
            || !reader.TryReadRequestId(out var ackedThrough) || !reader.TryReadExtents(out var extents) || !reader.TryReadEngineStep(out var fence))
        {
            return false;
        }

        decision = new Decision(pool, epoch, seq, (DecisionKind)kind, extents, abortedSeq, session, request, ackedThrough, fence);
        return true;
    }

    public static void WriteDecisionAnswer(this ref WireWriter writer, DecisionAnswer answer)
    {
        writer.WritePoolId(answer.Pool);
        writer.WriteEpoch(answer.Epoch);
        writer.WriteInt64(answer.Seq);
        writer.WriteInt64(answer.LastSeq);
        writer.WriteGpuId(answer.Gpu);
        writer.WriteIncarnation(answer.Incarnation);
        writer.WriteByte((byte)answer.Outcome);
        writer.WriteDigest(answer.Digest);
        writer.WriteOptionalRefusal(answer.Refusal);
        writer.WriteExtents(answer.Quarantined);
        writer.WriteDouble(answer.DriverMicroseconds);
    }

    /// <summary>Reads an answer; an outcome or a reason that isn't defined is a fault.</summary>
    public static bool TryReadDecisionAnswer(this ref WireReader reader, [NotNullWhen(true)] out DecisionAnswer? answer)
    {
        answer = null;
        if (!reader.TryReadPoolId(out var pool) || !reader.TryReadEpoch(out var epoch) || !reader.TryReadInt64(out var seq)
            || !reader.TryReadInt64(out var lastSeq) || !reader.TryReadGpuId(out var gpu) || !reader.TryReadIncarnation(out var incarnation)
            || !reader.TryReadByte(out var outcome))
        {
            return false;
        }

        if ((DecisionOutcome)outcome is < DecisionOutcome.Applied or > DecisionOutcome.NeedsTable)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadDigest(out var digest) || !reader.TryReadOptionalRefusal(out var refusal)
            || !reader.TryReadExtents(out var quarantined) || !reader.TryReadDouble(out var driverMicroseconds))
        {
            return false;
        }

        answer = new DecisionAnswer(
            pool, epoch, seq, lastSeq, gpu, incarnation, (DecisionOutcome)outcome, digest, refusal, quarantined, driverMicroseconds);
        return true;
    }
}
