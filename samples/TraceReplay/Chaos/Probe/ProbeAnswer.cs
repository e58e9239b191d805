using System.Text.Json.Nodes;
using Kvcached.Core.Decisions;

namespace Kvcached.EngineProbe;

/// <summary>One line of output: <c>{"ok":…, "reason":…, "text":…, …}</c>.</summary>
internal sealed class ProbeAnswer
{
    private readonly JsonObject _json;

    private ProbeAnswer(JsonObject json) => _json = json;

    public static ProbeAnswer Ok => new(new JsonObject { ["ok"] = true });

    public static ProbeAnswer Of(Refusal? refusal) => refusal is null ? Ok : Failed(refusal.Reason.ToString(), refusal.Detail);

    public static ProbeAnswer Failed(string reason, string text) => new(new JsonObject { ["ok"] = false, ["reason"] = reason, ["text"] = text });

    public ProbeAnswer With(string key, JsonNode? value)
    {
        _json[key] = value;
        return this;
    }

    public ProbeAnswer With(string key, IEnumerable<int> values) => With(key, new JsonArray([.. values.Select(value => (JsonNode)value)]));

    public string ToJson() => _json.ToJsonString();
}
