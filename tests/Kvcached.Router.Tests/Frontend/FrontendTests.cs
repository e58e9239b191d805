using System.Net;
using System.Text.Json;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Frontend;

public sealed class FrontendTests
{
    private const string Name = "meta-llama/Llama-3.2-1B";

    [Fact]
    public async Task Models_OfAllEngines_AreInOneList()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync($"models:\n{RouterRig.Entry(Name, [engine], "    aliases: [small]\n")}{RouterRig.Entry("code", [engine])}");
        var list = await rig.GetJsonAsync("/v1/models");
        Assert.Equal("list", list.GetProperty("object").GetString());
        Assert.Equal([Name, "small", "code"], list.GetProperty("data").EnumerateArray().Select(model => model.GetProperty("id").GetString()));
        Assert.All(list.GetProperty("data").EnumerateArray(), model => Assert.Equal("model", model.GetProperty("object").GetString()));
        Assert.Equal(Name, (await rig.GetJsonAsync($"/v1/models/{Name}")).GetProperty("id").GetString());
        Assert.Equal(Name, (await rig.GetJsonAsync($"/v1/models/{Uri.EscapeDataString(Name)}")).GetProperty("id").GetString());
        using var missing = await rig.Client.GetAsync("/v1/models/nobody");
        Assert.Equal("model_not_found", (await RouterRig.ErrorOf(missing)).Code);
        using var served = await rig.AskAsync("small");
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
    }

    [Fact]
    public async Task Status_InKvcachedsTerms_IsThere()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml(Name, [engine], "    sleep: {engine: kvcached, after: 10m}\n"));
        using (await rig.AskAsync(Name))
        {
            await RouterRig.UntilAsync(() => rig.Table.Find(Name)!.Traffic.Summarize(60).SuccessfulRequests == 1);
        }

        var escaped = Uri.EscapeDataString(Name);
        Assert.Equal("healthy", (await rig.GetJsonAsync("/health")).GetProperty("status").GetString());
        Assert.True((await rig.GetJsonAsync($"/health/{escaped}")).GetProperty("health").GetProperty(engine.Url).GetBoolean());
        Assert.True((await rig.GetJsonAsync("/health/all")).GetProperty("health").GetProperty(Name).GetProperty(engine.Url).GetBoolean());
        Assert.Equal(engine.Url, (await rig.GetJsonAsync("/models")).GetProperty("models").GetProperty(Name).GetProperty("endpoint").GetString());
        Assert.Equal("ok", (await rig.GetJsonAsync("/get_server_info")).GetProperty("status").GetString());

        var stats = (await rig.GetJsonAsync("/traffic/stats?window=100")).GetProperty("traffic_stats").GetProperty(Name);
        Assert.Equal((1, 1, 0), (stats.GetProperty("total_requests").GetInt32(), stats.GetProperty("successful_requests").GetInt32(), stats.GetProperty("failed_requests").GetInt32()));
        Assert.Equal(0.01, stats.GetProperty("request_rate").GetDouble());
        Assert.False(stats.GetProperty("is_idle").GetBoolean());
        Assert.True(stats.GetProperty("last_activity_time").GetDouble() > 1e9);
        var one = await rig.GetJsonAsync($"/traffic/stats/{escaped}");
        Assert.Equal((Name, 60), (one.GetProperty("model_stats").GetProperty("model_name").GetString(), one.GetProperty("window_seconds").GetInt32()));

        Assert.Equal(0, (await rig.GetJsonAsync("/models/idle")).GetProperty("idle_models_count").GetInt32());
        Assert.Equal(Name, (await rig.GetJsonAsync("/models/active")).GetProperty("active_models")[0].GetString());
        Assert.Empty((await rig.GetJsonAsync("/sleep/candidates")).GetProperty("sleep_candidates").EnumerateArray());
        using (var sleeping = await rig.Client.PostAsync($"/action/sleep/{escaped}", null))
        {
            var body = await ReadAsync(sleeping);
            Assert.Equal((Name, true), (body.GetProperty("model_name").GetString(), body.GetProperty("success").GetBoolean()));
        }

        var status = await rig.GetJsonAsync("/sleep/status");
        Assert.True(status.GetProperty("sleeping_models").GetProperty(Name).GetProperty("manual_sleep").GetBoolean());
        Assert.Equal((true, 600.0, true), (
            status.GetProperty("auto_sleep_enabled").GetBoolean(), status.GetProperty("idle_threshold_seconds").GetDouble(), status.GetProperty("wakeup_on_request").GetBoolean()));
        using (var waking = await rig.Client.PostAsync($"/action/wakeup/{escaped}", null))
        {
            Assert.True((await ReadAsync(waking)).GetProperty("success").GetBoolean());
        }

        Assert.Equal(["/is_sleeping", "/v1/chat/completions", "/sleep?kv=drop&weights=keep", "/is_sleeping", "/wake_up"], engine.Calls);
    }

    [Theory]
    [InlineData("/traffic/stats?window=0", 400)]
    [InlineData("/traffic/stats?window=x", 400)]
    [InlineData("/traffic/stats?window=3601", 400)]
    [InlineData("/models/idle?threshold=-1", 400)]
    [InlineData("/traffic/stats/nobody", 404)]
    [InlineData("/health/nobody", 404)]
    public async Task Question_ThatCantBeAnswered_IsAProblem(string path, int status)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml(Name, [engine]));
        using var response = await rig.Client.GetAsync(path);
        Assert.Equal((status, "application/problem+json"), ((int)response.StatusCode, response.Content.Headers.ContentType!.MediaType));
        var problem = await ReadAsync(response);
        Assert.Equal(status, problem.GetProperty("status").GetInt32());
        Assert.Equal(problem.GetProperty("detail").GetString(), problem.GetProperty("error").GetString());
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage response)
    {
        using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return document.RootElement.Clone();
    }
}
