using Kvcached.Router.Models;
using Kvcached.Router.Sleeping;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Sleeping;

public sealed class EngineCallsTests
{
    [Theory]
    [InlineData("vllm", "keep", "/reset_prefix_cache", "")]
    [InlineData("vllm", "engine-level-1", "/sleep?level=1", "/wake_up")]
    [InlineData("vllm", "engine-level-2", "/sleep?level=2", "/wake_up?tags=weights /collective_rpc /wake_up?tags=kv_cache")]
    [InlineData("sglang", "keep", "/release_memory_occupation", "/resume_memory_occupation")]
    [InlineData("sglang", "engine-level-1", "/release_memory_occupation", "/resume_memory_occupation")]
    [InlineData("sglang", "engine-level-2", "/release_memory_occupation", "/resume_memory_occupation /update_weights_from_disk /resume_memory_occupation")]
    [InlineData("kvcached", "keep", "/sleep?kv=drop&weights=keep", "/wake_up")]
    [InlineData("kvcached", "engine-level-2", "/sleep?kv=drop&weights=drop", "/wake_up")]
    public void Calls_OfEachEngine_InTheirOrder(string engine, string weights, string sleep, string wake)
    {
        var settings = Settings(engine, weights);
        Assert.Equal(sleep, string.Join(' ', EngineCalls.ToSleep(settings).Select(call => call.Path)));
        Assert.Equal(wake, string.Join(' ', EngineCalls.ToWake(settings).Select(call => call.Path)));
        Assert.All(EngineCalls.ToSleep(settings).Concat(EngineCalls.ToWake(settings)), call => Assert.Equal(HttpMethod.Post, call.Method));
    }

    [Fact]
    public void ToWake_PathWithQuotes_IsEscaped()
    {
        var settings = Settings("sglang", "engine-level-2") with { ModelPath = "a\"b" };
        Assert.Contains(EngineCalls.ToWake(settings), call => call.Json == """{"model_path":"a\u0022b"}""");
    }

    [Fact]
    public void IsSleeping_OfEnginesThatTell_Asked()
    {
        Assert.Equal("/is_sleeping", EngineCalls.IsSleeping(Settings("vllm", "engine-level-1"))?.Path);
        Assert.Null(EngineCalls.IsSleeping(Settings("vllm", "keep")));
        Assert.Null(EngineCalls.IsSleeping(Settings("sglang", "keep")));
        Assert.Equal("/is_sleeping", EngineCalls.IsSleeping(Settings("kvcached", "keep"))?.Path);
    }

    private static SleepSettings Settings(string engine, string weights) =>
        Routes.One(more: $"    sleep: {{engine: {engine}, weights: {weights}, modelPath: /m}}\n").Sleep;
}
