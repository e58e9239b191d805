using System.Net;
using Kvcached.Router.Models;
using Kvcached.Router.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Kvcached.Router.Tests.Sleeping;

public sealed class SleepHttpTests
{
    private const string Sleep = "    sleep: {engine: kvcached, kv: host, expectedWake: 0}\n";

    [Fact]
    public async Task Request_ForASleepingModel_WakesItOnceAndSaysHowLongItWaited()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep));
        await OrderAsync(rig, "sleep", HttpStatusCode.OK);
        Assert.True(engine.IsAsleep);
        var go = new TaskCompletionSource();
        engine.OnSleepCall = _ => go.Task;
        var asked = Enumerable.Range(0, 40).Select(_ => rig.AskAsync("conv")).ToArray();
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.Queued == 40);
        go.SetResult();
        foreach (var response in await Task.WhenAll(asked))
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.True(long.Parse(Assert.Single(response.Headers.GetValues("x-kvcached-wake-ms")), null) >= 0);
            response.Dispose();
        }

        Assert.Equal(1, engine.Calls.Count(call => call == "/wake_up"));
        Assert.Equal(1, engine.Calls.Count(call => call == "/sleep?kv=host&weights=keep"));
        Assert.Equal(0, engine.AskedAsleep);
    }

    [Fact]
    public async Task Request_WhenWakingTakesTooLong_IsToldToComeAgain()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    queueDeadline: 2s\n    sleep: {engine: kvcached, expectedWake: 30s}\n"));
        await OrderAsync(rig, "sleep", HttpStatusCode.OK);
        var go = new TaskCompletionSource();
        engine.OnSleepCall = _ => go.Task;
        using var refused = await rig.AskAsync("conv");
        var error = await RouterRig.ErrorOf(refused);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "model_waking"), (error.Status, error.Code));
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 30);
        go.SetResult();
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.State == ModelState.Awake);
        using var served = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
    }

    [Fact]
    public async Task Wake_ThatFails_IsToldAndTriedAgain()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep));
        await OrderAsync(rig, "sleep", HttpStatusCode.OK);
        engine.SleepStatus = StatusCodes.Status500InternalServerError;
        using (var refused = await rig.AskAsync("conv"))
        {
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "wake_failed"), (await RouterRig.ErrorOf(refused)) is var error ? (error.Status, error.Code) : default);
        }

        engine.SleepStatus = StatusCodes.Status200OK;
        HttpStatusCode status;
        do
        {
            // It isn't given requests until it has answered a health check, and been woken.
            using var response = await rig.AskAsync("conv");
            status = response.StatusCode;
        }
        while (status == HttpStatusCode.ServiceUnavailable);
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(0, engine.AskedAsleep);
    }

    [Fact]
    public async Task Sleep_OneEngineRefuses_AllAreWokenAndTheModelServesOn()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var other = await FakeEngine.StartAsync();
        other.OnSleepCall = path =>
        {
            other.SleepStatus = path == "/sleep" ? StatusCodes.Status500InternalServerError : StatusCodes.Status200OK;
            return Task.CompletedTask;
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine, other], Sleep));
        await OrderAsync(rig, "sleep", HttpStatusCode.Conflict);
        Assert.False(engine.IsAsleep);
        using var response = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(ModelState.Awake, rig.Table.Find("conv")!.Gate.Facts.State);
    }

    [Fact]
    public async Task Sleep_RequestsInFlight_AreWaitedFor()
    {
        await using var engine = await FakeEngine.StartAsync();
        var go = new TaskCompletionSource();
        engine.Answer = async context =>
        {
            await go.Task;
            await FakeEngine.WriteJsonAsync(context, "{}");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep));
        var gate = rig.Table.Find("conv")!.Gate;
        var asked = rig.AskAsync("conv");
        await RouterRig.UntilAsync(() => gate.Facts.InFlight == 1);
        var ordered = OrderAsync(rig, "sleep", HttpStatusCode.OK);
        await RouterRig.UntilAsync(() => gate.Facts.State == ModelState.Draining);
        Assert.False(engine.IsAsleep);
        go.SetResult();
        using var response = await asked;
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        await ordered;
        Assert.True(engine.IsAsleep);
        Assert.Equal(0, engine.AskedAsleep);
    }

    [Fact]
    public async Task Watch_IdleModel_FallsAsleepAndARequestWakesIt()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    sleep: {engine: kvcached, after: 1s, minimumAwake: 1s, expectedWake: 0}\n"));
        await RouterRig.UntilAsync(() => engine.IsAsleep);
        using var response = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(0, engine.AskedAsleep);
    }

    [Fact]
    public async Task Router_StartedAnew_TakesOverThatAModelSleeps()
    {
        await using var engine = await FakeEngine.StartAsync();
        engine.IsAsleep = true;
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep));
        Assert.Equal(ModelState.Asleep, rig.Table.Find("conv")!.Gate.Facts.State);
        using var response = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(0, engine.AskedAsleep);
    }

    [Fact]
    public async Task Engine_StartedAnewWhileItsModelSlept_IsNotWokenTwice()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep));
        await OrderAsync(rig, "sleep", HttpStatusCode.OK);
        engine.IsAsleep = false;
        using var response = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.DoesNotContain("/wake_up", engine.Calls);
    }

    [Theory]
    [InlineData("wakeup/conv", HttpStatusCode.Conflict)]
    [InlineData("sleep/code", HttpStatusCode.Conflict)]
    [InlineData("sleep/nobody", HttpStatusCode.NotFound)]
    [InlineData("wakeup/nobody", HttpStatusCode.NotFound)]
    public async Task Order_ThatCantBeCarriedOut_SaysWhy(string order, HttpStatusCode status)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync($"models:\n{RouterRig.Entry("conv", [engine], Sleep)}{RouterRig.Entry("code", [engine])}");
        using var response = await rig.Client.PostAsync($"/action/{order}", null);
        Assert.Equal(status, response.StatusCode);
    }

    [Fact]
    public async Task Order_WithATokenSetUp_NeedsIt()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], Sleep), token: "secret");
        await OrderAsync(rig, "sleep", HttpStatusCode.Unauthorized);
        rig.Client.DefaultRequestHeaders.Add("Authorization", "Bearer wrong");
        await OrderAsync(rig, "sleep", HttpStatusCode.Unauthorized);
        rig.Client.DefaultRequestHeaders.Remove("Authorization");
        rig.Client.DefaultRequestHeaders.Add("Authorization", "Bearer secret");
        await OrderAsync(rig, "sleep", HttpStatusCode.OK);
    }

    private static async Task OrderAsync(RouterRig rig, string what, HttpStatusCode expected)
    {
        using var response = await rig.Client.PostAsync($"/action/{what}/conv", null);
        Assert.Equal(expected, response.StatusCode);
    }
}
