using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Decisions;

namespace Kvcached.Core.Contracts;

/// <summary>Refusals on the wire.</summary>
public static class WireRefusals
{
    private const RefusalReason FirstReason = RefusalReason.UnknownPool;
    private const RefusalReason LastReason = RefusalReason.Draining;

    public static void WriteRefusal(this ref WireWriter writer, Refusal refusal)
    {
        writer.WriteByte((byte)refusal.Reason);
        writer.WriteText(refusal.Detail ?? string.Empty);
        writer.WriteInt64(refusal.RequestedBytes);
        writer.WriteInt64(refusal.FreeBytes);
    }

    /// <summary>Reads a refusal; a reason that isn't defined is a fault.</summary>
    public static bool TryReadRefusal(this ref WireReader reader, [NotNullWhen(true)] out Refusal? refusal)
    {
        refusal = null;
        if (!reader.TryReadByte(out var reason))
        {
            return false;
        }

        if ((RefusalReason)reason is < FirstReason or > LastReason)
        {
            return reader.Fail(WireFault.UndefinedValue);
        }

        if (!reader.TryReadText(out var detail) || !reader.TryReadInt64(out var requestedBytes) || !reader.TryReadInt64(out var freeBytes))
        {
            return false;
        }

        refusal = new Refusal((RefusalReason)reason, detail, requestedBytes, freeBytes);
        return true;
    }

    /// <summary>Writes a refusal or its absence.</summary>
    public static void WriteOptionalRefusal(this ref WireWriter writer, Refusal? refusal)
    {
        writer.WriteFlag(refusal is not null);
        if (refusal is not null)
        {
            writer.WriteRefusal(refusal);
        }
    }

    /// <summary>Reads a refusal or its absence.</summary>
    public static bool TryReadOptionalRefusal(this ref WireReader reader, out Refusal? refusal)
    {
        refusal = null;
        return reader.TryReadFlag(out var isThere) && (!isThere || reader.TryReadRefusal(out refusal));
    }
}
