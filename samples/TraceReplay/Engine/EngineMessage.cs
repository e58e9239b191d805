using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Kvcached.TraceReplay.Engine;

/// <summary>One line of JSON from an engine process to whoever started it.</summary>
/// <param name="Event">One of the constants below.</param>
/// <param name="Report">With <see cref="Stats"/> and <see cref="Summary"/>.</param>
/// <param name="MapMilliseconds">With <see cref="Summary"/>: times of growth requests, from asking to being told.</param>
/// <param name="UnmapMilliseconds">With <see cref="Summary"/>: the same of returns.</param>
/// <param name="Text">With <see cref="Failed"/>: what failed and what to do.</param>
public sealed record EngineMessage(
    string Event,
    EngineReport? Report = null,
    ImmutableArray<double>? MapMilliseconds = null,
    ImmutableArray<double>? UnmapMilliseconds = null,
    string? Text = null)
{
    /// <summary>The pool is open; the engine waits for the line <see cref="Go"/> on its standard input.</summary>
    public const string Ready = "ready";

    /// <summary>Counts of this moment.</summary>
    public const string Stats = "stats";

    /// <summary>The last line: everything is verified, freed and closed.</summary>
    public const string Summary = "summary";

    /// <summary>The engine could not begin or go on.</summary>
    public const string Failed = "failed";

    /// <summary>What an engine waits for before trace time begins.</summary>
    public const string Go = "go";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    public string ToLine() => JsonSerializer.Serialize(this, Json);

    /// <summary>Reads a line; null when it isn't one of ours.</summary>
    public static EngineMessage? TryParse(string line)
    {
        if (!line.StartsWith('{'))
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize<EngineMessage>(line, Json) is { Event: Ready or Stats or Summary or Failed } message ? message : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
