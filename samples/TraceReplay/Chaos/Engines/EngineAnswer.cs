using System.Text.Json;
using Kvcached.Core.Decisions;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>Reads the answers of engine processes.</summary>
internal static class EngineAnswer
{
    /// <summary>Null when the command was carried out; why not, otherwise.</summary>
    public static Refusal? RefusalOf(JsonElement? answer)
    {
        if (answer is not { } given)
        {
            return new Refusal(RefusalReason.HostUnreachable, "The process has ended.");
        }

        if (given.GetProperty("ok").GetBoolean())
        {
            return null;
        }

        var reason = given.GetProperty("reason").GetString();
        var text = given.GetProperty("text").GetString() ?? string.Empty;
        return Enum.TryParse<RefusalReason>(reason, out var known) ? new Refusal(known, text) : new Refusal(RefusalReason.NotSupported, $"{reason}: {text}");
    }

    public static bool IsOk(JsonElement? answer) => RefusalOf(answer) is null;

    public static int[] Blocks(JsonElement answer) => [.. answer.GetProperty("blocks").EnumerateArray().Select(block => block.GetInt32())];

    /// <summary>True when the pool itself is gone, not only out of reach for a while.</summary>
    public static bool IsPoolLost(Refusal refusal) => refusal.Reason is RefusalReason.PoolLost or RefusalReason.UnknownPool;

    /// <summary>True when the scheduler is no scheduler any more: its lease is over, and its pool waits for another.</summary>
    public static bool IsSessionOver(Refusal refusal) => refusal.Reason == RefusalReason.UnknownSession;
}
