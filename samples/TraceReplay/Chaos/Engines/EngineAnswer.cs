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

    /// <summary>Why the library says that the pool can't be used any more, of an answer to <c>pool-stats</c>; null while it can.</summary>
    public static RefusalReason? WithdrawnFor(JsonElement? stats) =>
        IsOk(stats) && Enum.TryParse<RefusalReason>(stats!.Value.GetProperty("withdrawn").GetString(), out var reason) ? reason : null;
}
