using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvcached.Router.Proxy;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Proxy;

public sealed class HostileClientTests
{
    [Theory]
    [InlineData("{", HttpStatusCode.BadRequest, "bad_request")]
    [InlineData("[]", HttpStatusCode.BadRequest, "bad_request")]
    [InlineData("""{"model":"conv","model":"code"}""", HttpStatusCode.BadRequest, "bad_request")]
    [InlineData("""{"model":"nobody"}""", HttpStatusCode.NotFound, "model_not_found")]
    public async Task Body_ThatNamesNoModel_IsRefused(string json, HttpStatusCode status, string code)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var response = await rig.SendAsync("/v1/chat/completions", json);
        var error = await RouterRig.ErrorOf(response);
        Assert.Equal((status, code), (error.Status, error.Code));
        Assert.Empty(engine.Calls);
    }

    [Theory]
    [InlineData("GET", "/v1/chat/completions", 405)]
    [InlineData("POST", "/v1/nothing", 404)]
    [InlineData("POST", "/v1/chat/completions/", 400)]
    [InlineData("POST", "/V1/chat/completions/x", 404)]
    [InlineData("GET", "/nothing", 404)]
    [InlineData("DELETE", "/health", 405)]
    public async Task Path_ThatIsNotServed_IsRefused(string method, string path, int status)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        var answer = await RawAsync(rig, $"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.Empty(engine.Calls);
    }

    [Fact]
    public async Task Body_LargerThanMay_IsRefusedWhetherItSaysSoOrNot()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]), options => options with { MaxBodyBytes = 64 << 10 });
        var promised = await RawAsync(rig, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000\r\n\r\n{");
        Assert.StartsWith("HTTP/1.1 413 ", promised, StringComparison.Ordinal);
        var chunk = new string('x', 0x10000);
        var sent = await RawAsync(rig, $"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n{chunk}\r\n10000\r\n{chunk}\r\n0\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 413 ", sent, StringComparison.Ordinal);
        Assert.Contains("request_too_large", sent, StringComparison.Ordinal);
        Assert.Empty(engine.Calls);
    }

    [Fact]
    public async Task Bodies_MoreThanMemoryIsFor_AreRefusedAndMemoryComesBack()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(
            RouterRig.Yaml("conv", [engine]), options => options with { MaxBodyBytes = 1 << 20, BodyMemoryBytes = 1 << 20 });
        var budget = rig.Get<BodyBudget>();
        using var half = await ConnectAsync(rig);
        await half.SendAsync(Encoding.ASCII.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n{new string(' ', 590_000)}"));
        await RouterRig.UntilAsync(() => budget.UsedBytes > 512 << 10);
        using var refused = await rig.SendAsync("/v1/completions", $$"""{"model":"conv","x":"{{new string('x', 900_000)}}"}""");
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "router_busy"), (await RouterRig.ErrorOf(refused)) is var error ? (error.Status, error.Code) : default);
        Assert.NotNull(refused.Headers.RetryAfter);
        half.Close();
        await RouterRig.UntilAsync(() => budget.UsedBytes == 0);
        using var served = await rig.AskAsync("conv");
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
    }

    [Theory]
    [InlineData("Content-Length: 16\r\nTransfer-Encoding: chunked")]
    [InlineData("Transfer-Encoding: chunked\r\nContent-Length: 16")]
    [InlineData("Transfer-Encoding: chunked, identity")]
    [InlineData("Transfer-Encoding: identity, chunked\r\nContent-Length: 5")]
    [InlineData("Content-Length: 16\r\nContent-Length: 17")]
    [InlineData("Content-Length : 16")]
    [InlineData("Transfer-Encoding: xchunked")]
    [InlineData("X-Folded: a\r\n b\r\nContent-Length: 16")]
    public async Task Headers_ThatTwoReadersMightReadDifferently_ReachNoEngine(string headers)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        var answer = await RawAsync(rig, $"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n10\r\n{{\"model\":\"conv\"}}\r\n0\r\n\r\nGET /sleep HTTP/1.1\r\nHost: x\r\n\r\n");
        Assert.Matches("^HTTP/1.1 (400|411|501) ", answer);
        Assert.Single(answer.Split("HTTP/1.1 "), part => part.Length > 0);
        Assert.Empty(engine.Calls);
    }

    [Fact]
    public async Task Headers_OfAConnectionOrOfSomebodyElse_EndAtTheRouter()
    {
        await using var engine = await FakeEngine.StartAsync();
        Dictionary<string, string>? seen = null;
        engine.Answer = context =>
        {
            seen = context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
            return FakeEngine.WriteJsonAsync(context, "{}");
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        await RawAsync(
            rig,
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6\r\n"
            + "X-Real-IP: 6.6.6.6\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n{\"model\":\"conv\"}");
        Assert.NotNull(seen);
        Assert.Equal("1", seen["X-Kept"]);
        Assert.Equal(new Uri(engine.Url).Authority, seen["Host"]);
        Assert.All(
            new[] { "Connection", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Upgrade" }, name => Assert.False(seen.ContainsKey(name), name));
    }

    [Theory]
    [InlineData("POST /v1/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{\"model\":\"conv\"}", 421)]
    [InlineData("POST /action/sleep/conv HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 403)]
    [InlineData("POST /action/sleep/conv HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 403)]
    public async Task Page_OfAnotherSite_ReachesNothing(string request, int status)
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    sleep: {engine: kvcached}\n"));
        engine.Calls.Clear();
        Assert.StartsWith($"HTTP/1.1 {status} ", await RawAsync(rig, request), StringComparison.Ordinal);
        Assert.Empty(engine.Calls);
    }

    [Fact]
    public async Task Connection_HalfOpenWithinABody_IsEndedByTheRouter()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine]));
        using var socket = await ConnectAsync(rig);
        await socket.SendAsync("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"u8.ToArray());
        var answer = await ReadAllAsync(socket);
        Assert.StartsWith("HTTP/1.1 408 ", answer, StringComparison.Ordinal);
        Assert.Equal(0, rig.Get<BodyBudget>().UsedBytes);
        Assert.Empty(engine.Calls);
    }

    [Fact]
    public async Task Reader_ThatStopsReading_HoldsBackItsEngineAndIsEnded()
    {
        await using var engine = await FakeEngine.StartAsync();
        var (sentBytes, ended) = (0L, new TaskCompletionSource());
        engine.Answer = async context =>
        {
            context.Response.ContentType = "text/event-stream";
            var piece = Encoding.ASCII.GetBytes($"data: {new string('x', 64 << 10)}\n\n");
            try
            {
                while (true)
                {
                    await context.Response.Body.WriteAsync(piece, context.RequestAborted);
                    Interlocked.Add(ref sentBytes, piece.Length);
                }
            }
            finally
            {
                ended.SetResult();
            }
        };
        await using var rig = await RouterRig.StartAsync(RouterRig.Yaml("conv", [engine], "    activityTimeout: 5s\n"));
        using var socket = await ConnectAsync(rig);
        await socket.SendAsync("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{\"model\":\"conv\"}"u8.ToArray());

        // It stands still long before it is ended, having sent what the sockets' own buffers take. After the end its writes go nowhere and count for nothing.
        var (last, same) = (0L, 0);
        await RouterRig.UntilAsync(() =>
        {
            var now = Interlocked.Read(ref sentBytes);
            same = now > 0 && now == last ? same + 1 : 0;
            last = now;
            return same >= 40;
        });
        Assert.InRange(last, 1, 64 << 20);
        await ended.Task.WaitAsync(RouterRig.Patience);
        await RouterRig.UntilAsync(() => rig.Table.Find("conv")!.Gate.Facts.InFlight == 0);
    }

    private static async Task<string> RawAsync(RouterRig rig, string request)
    {
        using var socket = await ConnectAsync(rig);
        await socket.SendAsync(Encoding.UTF8.GetBytes(request));
        return await ReadAllAsync(socket);
    }

    private static async Task<Socket> ConnectAsync(RouterRig rig)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, rig.Url.Port);
        return socket;
    }

    private static async Task<string> ReadAllAsync(Socket socket)
    {
        using var overdue = new CancellationTokenSource(RouterRig.Patience);
        var text = new StringBuilder();
        var buffer = new byte[4096];
        try
        {
            while (await socket.ReceiveAsync(buffer, overdue.Token) is var count && count > 0)
            {
                text.Append(Encoding.UTF8.GetString(buffer, 0, count));
            }
        }
        catch (SocketException)
        {
            // Cut off, which ends it too.
        }

        return text.ToString();
    }
}
