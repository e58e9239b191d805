using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Kvcached.Router.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Kvcached.Router.Tests.Proxy;

public sealed class ForwardingTests
{
    [Theory]
    [InlineData("/v1/chat/completions")]
    [InlineData("/v1/completions")]
    [InlineData("/v1/embeddings")]
    public async Task Request_ForAModel_ReachesItsEngineAsItIs(string path)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var other = await FakeEngine.StartAsync();
        (string Path, string Body, string Key)? seen = null;
        engine.Answer = async context =>
        {
            seen = (context.Request.Path + context.Request.QueryString, await new StreamReader(context.Request.Body).ReadToEndAsync(), context.Request.Headers.Authorization.ToString());
            context.Response.Headers["x-engine"] = "1";
            await FakeEngine.WriteJsonAsync(context, """{"answer":1}""");
        };
        await using var rig = await RouterRig.StartAsync($"models:\n{RouterRig.Entry("conv", [engine])}{RouterRig.Entry("code", [other])}");
        rig.Client.DefaultRequestHeaders.Add("Authorization", "Bearer key");
        const string Body = """{"model": "conv",  "x":  [1, 2.50], "text": "é"}""";
        using var response = await rig.SendAsync(path + "?a=%2F", Body);
        Assert.Equal("""{"answer":1}""", await response.Content.ReadAsStringAsync());
        Assert.Equal("1", Assert.Single(response.Headers.GetValues("x-engine")));
        Assert.False(response.Headers.Contains("x-kvcached-wake-ms"));
        Assert.Equal((path + "?a=%2F", Body, "Bearer key"), seen);
        Assert.Empty(other.Calls);
    }

    [Fact]
    public async Task Stream_EventsPassOneByOne_BeforeTheAnswerEnds()
    {
        await using var engine = await FakeEngine.StartAsync();
        var next = new SemaphoreSlim(0);
        engine.Answer = async context =>
        {
            context.Response.ContentType = "text/event-stream";
            for (var index = 0; index < 3; index++)
            {
                await context.Response.WriteAsync($"data: {index}\n\n");
                await next.WaitAsync(context.RequestAborted);
            }

            await context.Response.WriteAsync("data: [DONE]\n\n");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var response = await rig.AskAsync("conv");
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (var index = 0; index < 3; index++)
        {
            // The engine says no more before it is let.
            Assert.Equal($"data: {index}", await reader.ReadLineAsync());
            Assert.Equal(string.Empty, await reader.ReadLineAsync());
            next.Release();
        }

        Assert.Equal("data: [DONE]\n\n", await reader.ReadToEndAsync());
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.InFlight == 0);
    }

    [Fact]
    public async Task Client_GoesDuringTheAnswer_TheEngineIsTold()
    {
        await using var engine = await FakeEngine.StartAsync();
        var aborted = new TaskCompletionSource();
        engine.Answer = async context =>
        {
            context.RequestAborted.Register(() => aborted.TrySetResult());
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await aborted.Task;
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        var response = await rig.AskAsync("conv");
        response.Dispose();
        await aborted.Task.WaitAsync(RouterRig.Patience);
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.InFlight == 0);
    }

    [Fact]
    public async Task Client_GoesWhileItsRequestWaits_ThePlaceIsFree()
    {
        await using var engine = await FakeEngine.StartAsync();
        var go = new TaskCompletionSource();
        engine.Answer = async context =>
        {
            await go.Task;
            await FakeEngine.WriteJsonAsync(context, "{}");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    maxInFlight: 1\n"));
        var gate = rig.Table.Find("conv")!.Gate;
        var first = rig.AskAsync("conv");
        await RouterRig.UntilAsync(() => gate.Facts.InFlight == 1);
        using var gone = new CancellationTokenSource();
        var second = rig.AskAsync("conv", cancellation: gone.Token);
        await RouterRig.UntilAsync(() => gate.Facts.Queued == 1);
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        await RouterRig.UntilAsync(() => gate.Facts.Queued == 0);
        go.SetResult();
        using var response = await first;
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Single(engine.Calls);
    }

    [Fact]
    public async Task Replica_ThatCantBeReached_IsPassedOverOnce()
    {
        await using var engine = await FakeEngine.StartAsync();
        var gone = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [gone, engine]));
        await gone.DisposeAsync();
        for (var index = 0; index < 4; index++)
        {
            using var response = await rig.AskAsync("conv");
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }

        Assert.Equal(4, engine.Calls.Count);
        Assert.Equal([false, true], rig.Table.Find("conv")!.Gate.Replicas.Select(replica => replica.IsHealthy));
    }

    [Fact]
    public async Task Engine_EndsTheConnectionUnanswered_IsNotAskedTwice()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var other = await FakeEngine.StartAsync();
        var asked = new ConcurrentQueue<string>();
        engine.Answer = other.Answer = context =>
        {
            asked.Enqueue(context.Request.Path);
            context.Abort();
            return Task.CompletedTask;
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine, other]));
        using var response = await rig.AskAsync("conv");
        Assert.Equal((HttpStatusCode.BadGateway, "engine_failed"), ((await RouterRig.ErrorOf(response)) is var error ? (error.Status, error.Code) : default));
        Assert.Single(asked);
    }

    [Fact]
    public async Task Engine_DiesWithinAnAnswer_TheClientSeesThatItIsNotWhole()
    {
        await using var engine = await FakeEngine.StartAsync();
        var hasReadSome = new TaskCompletionSource();
        engine.Answer = async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await hasReadSome.Task;
            context.Abort();
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var response = await rig.AskAsync("conv");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.Equal("data: 1", await reader.ReadLineAsync());
        hasReadSome.SetResult();
        await Assert.ThrowsAnyAsync<IOException>(() => reader.ReadToEndAsync());
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Traffic.Summarize(60).FailedRequests == 1);
    }

    [Fact]
    public async Task Engine_SaysNothing_TheClientIsToldInTime()
    {
        await using var engine = await FakeEngine.StartAsync();
        engine.Answer = context => Task.Delay(Timeout.Infinite, context.RequestAborted);
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    activityTimeout: 1s\n"));
        using var response = await rig.AskAsync("conv");
        var error = await RouterRig.ErrorOf(response);
        Assert.Equal((HttpStatusCode.GatewayTimeout, "engine_timeout"), (error.Status, error.Code));
    }

    [Theory]
    [InlineData(400)]
    [InlineData(429)]
    [InlineData(503)]
    public async Task Engine_AnswersWithAnError_ItPassesAsItIs(int status)
    {
        await using var engine = await FakeEngine.StartAsync();
        engine.Answer = context =>
        {
            context.Response.StatusCode = status;
            return FakeEngine.WriteJsonAsync(context, """{"error":{"message":"the engine's own"}}""");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var response = await rig.AskAsync("conv");
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("""{"error":{"message":"the engine's own"}}""", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Answer_Large_PassesWhole()
    {
        var bytes = new byte[8 << 20];
        new Random(1).NextBytes(bytes);
        await using var engine = await FakeEngine.StartAsync();
        engine.Answer = async context =>
        {
            context.Response.ContentType = "application/octet-stream";
            await context.Response.Body.WriteAsync(bytes);
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var response = await rig.AskAsync("conv");
        Assert.Equal(bytes, await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task Request_WithoutLength_PassesWhole()
    {
        await using var engine = await FakeEngine.StartAsync();
        string? body = null;
        engine.Answer = async context =>
        {
            body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            await FakeEngine.WriteJsonAsync(context, "{}");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        var json = $$"""{"model":"conv","text":"{{new string('x', 300_000)}}"}""";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        request.Headers.TransferEncodingChunked = true;
        using var response = await rig.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(json, body);
    }
}
