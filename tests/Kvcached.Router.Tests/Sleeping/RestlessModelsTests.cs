using System.Globalization;
using System.Net;
using System.Text.Json;
using Kvcached.Router.Models;
using Kvcached.Router.Sleeping;
using Kvcached.Router.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Kvcached.Router.Tests.Sleeping;

/// <summary>Many requests over three models, two engines each, that are put to sleep and woken at random meanwhile while one engine is killed and started again.</summary>
public sealed class RestlessModelsTests
{
    private const int RequestCount = 1000;
    private const int ClientCount = 24;

    [Fact]
    public async Task Requests_WhileModelsSleepAndWakeAndAnEngineDies_EndInTheRightAnswerOrAClearError()
    {
        string[] names = ["conv", "code", "math"];
        var engines = new List<FakeEngine>();
        foreach (var name in names.SelectMany(name => new[] { name, name }))
        {
            engines.Add(await StartAsync(name));
        }

        var yaml = "models:\n" + string.Concat(names.Select((name, index) => RouterRig.Entry(
            name, engines.Skip(2 * index).Take(2), "    maxInFlight: 4\n    sleep: {engine: kvcached, kv: host, expectedWake: 0}\n")));
        await using var rig = await RouterRig.StartAsync(yaml);
        var (answered, failed) = (0, 0);
        using var done = new CancellationTokenSource();
        var restless = RestlessAsync(rig, names, done.Token);
        var next = -1;
        await Task.WhenAll(Enumerable.Range(0, ClientCount).Select(async _ =>
        {
            while (Interlocked.Increment(ref next) is var number && number < RequestCount)
            {
                if (number == RequestCount / 3)
                {
                    await engines[0].DisposeAsync();
                }

                var isRight = await AskAsync(rig, names[number % names.Length], number);
                Interlocked.Increment(ref isRight ? ref answered : ref failed);
            }
        }));
        await done.CancelAsync();
        await restless;
        foreach (var engine in engines)
        {
            Assert.Equal(0, engine.AskedAsleep);
            await engine.DisposeAsync();
        }

        // Those that the killed engine was at work on, at most.
        Assert.Equal(RequestCount, answered + failed);
        Assert.InRange(failed, 0, 8);
        Assert.True(engines.Sum(engine => engine.Calls.Count(call => call == "/wake_up")) > 0, "no model was ever woken");
    }

    // What an engine answers follows from what it is asked, so that an answer of another request or another model is seen.
    private static string Expected(string model, int number) => string.Create(CultureInfo.InvariantCulture, $"{model}-{number * 7919}");

    private static async Task<FakeEngine> StartAsync(string name)
    {
        var engine = await FakeEngine.StartAsync();
        engine.Answer = async context =>
        {
            using var request = await JsonDocument.ParseAsync(context.Request.Body);
            var number = request.RootElement.GetProperty("prompt").GetInt32();
            context.Response.ContentType = "text/event-stream";
            foreach (var part in Expected(name, number).Chunk(2))
            {
                await context.Response.WriteAsync(new string(part), context.RequestAborted);
                await Task.Yield();
            }
        };
        return engine;
    }

    private static async Task<bool> AskAsync(RouterRig rig, string model, int number)
    {
        try
        {
            using var response = await rig.SendAsync("/v1/completions", $$"""{"model":"{{model}}","stream":true,"prompt":{{number}}}""");
            if (response.StatusCode == HttpStatusCode.OK)
            {
                Assert.Equal(Expected(model, number), await response.Content.ReadAsStringAsync());
                return true;
            }

            var error = await RouterRig.ErrorOf(response);
            Assert.Contains(error.Code, new[] { "engine_failed", "no_replica" });
            return false;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            // Cut off within an answer.
            return false;
        }
    }

    private static async Task RestlessAsync(RouterRig rig, string[] names, CancellationToken done)
    {
        var random = new Random(20);
        var sleeper = rig.Get<ModelSleeper>();
        while (!done.IsCancellationRequested)
        {
            var gate = rig.Table.Find(names[random.Next(names.Length)])!.Gate;
            if (random.Next(3) == 0)
            {
                await gate.WakeAsync();
            }
            else
            {
                await sleeper.SleepAsync(gate, isInterruptible: random.Next(2) == 0);
            }

            await Task.Yield();
        }

        foreach (var name in names)
        {
            // Nothing of it may be left half done.
            Assert.Contains(rig.Table.Find(name)!.Gate.Facts.State, new[] { ModelState.Awake, ModelState.Asleep, ModelState.Waking });
        }
    }
}
