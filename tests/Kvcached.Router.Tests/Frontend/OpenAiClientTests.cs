using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvcached.Router.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Kvcached.Router.Tests.Frontend;

/// <summary>The public OpenAI client library, as it is. Needs Node.js and <c>npm install</c> in tests/openai; skipped without.</summary>
public sealed class OpenAiClientTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "tests", "openai");

    [SkippableFact]
    public async Task Client_AgainstTheRouter_FindsWhatItExpects()
    {
        Skip.IfNot(Directory.Exists(Path.Combine(Folder, "node_modules", "openai")), "needs Node.js and npm install in tests/openai");
        await using var engine = await FakeEngine.StartAsync();
        engine.Answer = AnswerAsync;
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var node = Process.Start(new ProcessStartInfo("node")
        {
            ArgumentList = { Path.Combine(Folder, "client.mjs"), rig.Url.GetLeftPart(UriPartial.Authority), "conv" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var errors = node.StandardError.ReadToEndAsync();
        using var said = JsonDocument.Parse(await node.StandardOutput.ReadToEndAsync() is { Length: > 0 } line ? line : throw new InvalidOperationException(await errors));
        var root = said.RootElement;
        Assert.Equal("conv", Assert.Single(root.GetProperty("models").EnumerateArray()).GetString());
        Assert.Equal("whole", root.GetProperty("chat").GetString());
        Assert.Equal("012", root.GetProperty("streamed").GetString());
        Assert.Equal(3, root.GetProperty("used").GetInt32());
        Assert.Equal("text", root.GetProperty("completion").GetString());
        Assert.Equal([2, 2], root.GetProperty("embeddings").EnumerateArray().Select(length => length.GetInt32()));
        var missing = root.GetProperty("missing");
        Assert.Equal(
            ("NotFoundError", 404, "model_not_found", "model"),
            (missing.GetProperty("name").GetString(), missing.GetProperty("status").GetInt32(), missing.GetProperty("code").GetString(), missing.GetProperty("param").GetString()));
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.InFlight == 0);
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        using var request = await JsonDocument.ParseAsync(context.Request.Body);
        var isStream = request.RootElement.TryGetProperty("stream", out var stream) && stream.GetBoolean();
        if (isStream)
        {
            var isEndless = request.RootElement.GetProperty("max_tokens").GetInt32() > 100;
            context.Response.ContentType = "text/event-stream";
            for (var index = 0; index < (isEndless ? int.MaxValue : 3); index++)
            {
                await context.Response.WriteAsync(
                    string.Create(CultureInfo.InvariantCulture, $$$"""data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"{{{index}}}"}}]}{{{"\n\n"}}}"""),
                    context.RequestAborted);
            }

            await context.Response.WriteAsync("data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n");
            return;
        }

        await FakeEngine.WriteJsonAsync(context, context.Request.Path.Value switch
        {
            "/v1/chat/completions" => """{"id":"x","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"whole"}}]}""",
            "/v1/completions" => """{"id":"x","object":"text_completion","choices":[{"index":0,"finish_reason":"stop","text":"text"}]}""",
            _ => """{"object":"list","data":[{"index":0,"object":"embedding","embedding":[1,2]},{"index":1,"object":"embedding","embedding":[3,4]}]}""",
        });
    }
}
