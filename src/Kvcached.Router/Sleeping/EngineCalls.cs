using System.Collections.Immutable;
using System.Text.Json;
using Kvcached.Router.Models;

namespace Kvcached.Router.Sleeping;

/// <summary>One call of an engine's own HTTP interface.</summary>
/// <param name="Method">GET or POST.</param>
/// <param name="Path">Path and query.</param>
/// <param name="Json">Body; null for none.</param>
internal sealed record EngineCall(HttpMethod Method, string Path, string? Json = null);

/// <summary>
/// What each engine is asked to sleep and wake, in order. vLLM serves its calls with <c>--enable-sleep-mode</c> and <c>VLLM_SERVER_DEV_MODE=1</c>; it drops its KV data
/// at both levels. SGLang needs <c>--enable-memory-saver</c>, and for level 1 <c>--enable-weights-cpu-backup</c>; it drops its KV data too. Kvcached's own can keep it.
/// </summary>
internal static class EngineCalls
{
    public static ImmutableArray<EngineCall> ToSleep(SleepSettings sleep) => (sleep.Engine, sleep.Weights) switch
    {
        // With its weights kept, vLLM gives up nothing but what its prefix cache holds.
        (EngineKind.Vllm, WeightsWhileAsleep.Keep) => [Post("/reset_prefix_cache")],
        (EngineKind.Vllm, WeightsWhileAsleep.EngineLevel1) => [Post("/sleep?level=1")],
        (EngineKind.Vllm, WeightsWhileAsleep.EngineLevel2) => [Post("/sleep?level=2")],
        (EngineKind.Sglang, WeightsWhileAsleep.Keep) => [Post("/release_memory_occupation", """{"tags":["kv_cache"]}""")],
        (EngineKind.Sglang, _) => [Post("/release_memory_occupation", """{"tags":["kv_cache","weights"]}""")],
        (EngineKind.Kvcached, _) => [Post($"/sleep?kv={KvWord(sleep.Kv)}&weights={WeightsWord(sleep.Weights)}")],
        _ => [],
    };

    public static ImmutableArray<EngineCall> ToWake(SleepSettings sleep) => (sleep.Engine, sleep.Weights) switch
    {
        (EngineKind.Vllm, WeightsWhileAsleep.EngineLevel1) => [Post("/wake_up")],

        // Weights come back empty and are loaded before memory for KV data is taken.
        (EngineKind.Vllm, WeightsWhileAsleep.EngineLevel2) =>
            [Post("/wake_up?tags=weights"), Post("/collective_rpc", """{"method":"reload_weights"}"""), Post("/wake_up?tags=kv_cache")],
        (EngineKind.Sglang, WeightsWhileAsleep.Keep) => [Post("/resume_memory_occupation", """{"tags":["kv_cache"]}""")],
        (EngineKind.Sglang, WeightsWhileAsleep.EngineLevel1) => [Post("/resume_memory_occupation", """{"tags":["weights","kv_cache"]}""")],
        (EngineKind.Sglang, WeightsWhileAsleep.EngineLevel2) =>
        [
            Post("/resume_memory_occupation", """{"tags":["weights"]}"""),
            Post("/update_weights_from_disk", $$"""{"model_path":"{{JsonEncodedText.Encode(sleep.ModelPath ?? string.Empty)}}"}"""),
            Post("/resume_memory_occupation", """{"tags":["kv_cache"]}"""),
        ],
        (EngineKind.Kvcached, _) => [Post("/wake_up")],
        _ => [],
    };

    /// <summary>What asks an engine whether it sleeps, answered by <c>{"is_sleeping": true}</c>; null for one that can't be asked.</summary>
    public static EngineCall? IsSleeping(SleepSettings sleep) => sleep.Engine switch
    {
        EngineKind.Vllm when sleep.Weights != WeightsWhileAsleep.Keep => new EngineCall(HttpMethod.Get, "/is_sleeping"),
        EngineKind.Kvcached => new EngineCall(HttpMethod.Get, "/is_sleeping"),
        _ => null,
    };

    private static EngineCall Post(string path, string? json = null) => new(HttpMethod.Post, path, json);

    private static string KvWord(KvWhileAsleep kv) => kv == KvWhileAsleep.Host ? "host" : "drop";

    private static string WeightsWord(WeightsWhileAsleep weights) => weights == WeightsWhileAsleep.Keep ? "keep" : "drop";
}
