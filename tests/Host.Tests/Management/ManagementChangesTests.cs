using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Management;

/// <summary>Changes through the management HTTP: who may make them, what comes of them, and what a caller can't do to the host.</summary>
public sealed class ManagementChangesTests(HostWithPool fixture) : IClassFixture<HostWithPool>
{
    private const string Path = $"/pools/{HostWithPool.PoolName}/limit";

    [Fact]
    public void TokenFile_OnceReady_IsItsUsersOnly()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(fixture.Host.Ready.TokenFile));
        Assert.Equal(64, fixture.Token.Length);
    }

    public static TheoryData<string, string?, string?, string?, HttpStatusCode, string> Unwelcome => new()
    {
        { "no token", null, null, null, HttpStatusCode.Unauthorized, "unauthorized" },
        { "wrong token", "Bearer 0123456789", null, null, HttpStatusCode.Unauthorized, "unauthorized" },
        { "other scheme", "Basic TOKEN", null, null, HttpStatusCode.Unauthorized, "unauthorized" },
        { "cross-origin", "Bearer TOKEN", "Origin", "http://evil.example", HttpStatusCode.Forbidden, "foreign-origin" },
        { "origin of another port", "Bearer TOKEN", "Origin", "http://127.0.0.1:1", HttpStatusCode.Forbidden, "foreign-origin" },
        { "sandboxed page", "Bearer TOKEN", "Origin", "null", HttpStatusCode.Forbidden, "foreign-origin" },
        { "cross-site without origin", "Bearer TOKEN", "Sec-Fetch-Site", "cross-site", HttpStatusCode.Forbidden, "foreign-origin" },
        { "rebinding", "Bearer TOKEN", "Host", "evil.example", HttpStatusCode.MisdirectedRequest, "foreign-host" },
    };

    [Theory]
    [MemberData(nameof(Unwelcome))]
    public async Task Change_ByWhoMayNot_IsRefusedAndNothingChanges(string name, string? authorization, string? header, string? value, HttpStatusCode status, string type)
    {
        var before = await ReadPoolAsync();
        using var request = Change("""{"limit": "3MiB"}""");
        request.Headers.Authorization = null;
        if (authorization is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", authorization.Replace("TOKEN", fixture.Token, StringComparison.Ordinal));
        }

        if (header is not null)
        {
            request.Headers.TryAddWithoutValidation(header, value);
        }

        using var response = await fixture.Host.Http.SendAsync(request);

        var problem = await AssertProblemAsync(response, status, type);
        Assert.DoesNotContain(fixture.Token, JsonSerializer.Serialize(problem), StringComparison.Ordinal);
        Assert.Equal(status == HttpStatusCode.Unauthorized, response.Headers.WwwAuthenticate.Count > 0);
        Assert.Equal((name, before.Revision, before.LimitBytes), (name, (await ReadPoolAsync()).Revision, (await ReadPoolAsync()).LimitBytes));
    }

    [Theory]
    [InlineData("", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("null", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("{", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("[]", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{"limt": "1MiB"}""", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{"limit": "1 parsec"}""", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{"limit": -1}""", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{"limit": 1e400}""", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{"limit": {"a": 1}}""", HttpStatusCode.BadRequest, "bad-request")]
    [InlineData("""{}""", HttpStatusCode.BadRequest, "bad-limit")]
    [InlineData("""{"weight": 2000000}""", HttpStatusCode.BadRequest, "bad-limit")]
    [InlineData("""{"limit": "2MiB", "revision": -4}""", HttpStatusCode.BadRequest, "bad-limit")]
    [InlineData("""{"limit": "2MiB", "floor": "4MiB"}""", HttpStatusCode.BadRequest, "bad-limit")]
    [InlineData("""{"floor": "1TiB", "limit": "default"}""", HttpStatusCode.BadRequest, "bad-limit")]
    public async Task Change_Malformed_IsRefusedAndNothingChanges(string body, HttpStatusCode status, string type)
    {
        var before = (await ReadPoolAsync()).Revision;
        using var request = Change(body);
        using var response = await fixture.Host.Http.SendAsync(request);
        await AssertProblemAsync(response, status, type);
        Assert.Equal(before, (await ReadPoolAsync()).Revision);
    }

    [Fact]
    public async Task Change_OfAnotherContentType_IsRefused()
    {
        using var request = Change("limit=1");
        request.Content!.Headers.ContentType = new MediaTypeHeaderValue("application/x-www-form-urlencoded");
        using var response = await fixture.Host.Http.SendAsync(request);
        await AssertProblemAsync(response, HttpStatusCode.UnsupportedMediaType, "wrong-content-type");
    }

    [Fact]
    public async Task Change_TooLong_IsRefused()
    {
        using var request = Change($$"""{"limit": "{{new string('9', 100_000)}}"}""");
        using var response = await fixture.Host.Http.SendAsync(request);
        await AssertProblemAsync(response, HttpStatusCode.RequestEntityTooLarge, "broken-request");
    }

    [Fact]
    public async Task Request_WithEndlessHeaders_IsCutOff()
    {
        using var client = new TcpClient("127.0.0.1", fixture.Host.Ready.ManagementPort);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET /alive HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {new string('x', 40_000)}\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 431", await ReadToEndAsync(stream), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Request_ThatNeverEnds_IsCutOffAndOthersAreServed()
    {
        using var client = new TcpClient("127.0.0.1", fixture.Host.Ready.ManagementPort);
        var stream = client.GetStream();
        await stream.WriteAsync("GET /alive HTTP/1.1\r\nHost: 127."u8.ToArray());
        await fixture.Host.GetAsync("/alive", ManagementJsonContext.Default.HealthView);

        // Nothing more is sent; it is the host that ends it.
        Assert.StartsWith("HTTP/1.1 408", await ReadToEndAsync(stream), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Change_ByWhoMay_IsInForceAndSaysByWhichRevision()
    {
        var first = await ChangeAsync("""{"limit": "32MiB", "floor": 4194304, "weight": 3}""");
        Assert.Equal("applied", first.Outcome);
        Assert.Equal((1, 1), (first.KeptByHosts, first.HostCount));
        var on = Assert.Single(first.OnGpus);
        Assert.Equal((32L << 20, 4L << 20), (on.LimitBytes, on.FloorBytes));

        var second = await ChangeAsync("""{"limit": "50%"}""");
        Assert.Equal((first.Revision + 1, "50%", "4194304", 3), (second.Revision, second.Limit, second.Floor, second.Weight));
        var pool = await ReadPoolAsync();
        Assert.Equal((fixture.Host.Ready.CapacityBytes / 2, 4L << 20, 3, second.Revision), (pool.LimitBytes, pool.FloorBytes, pool.Weight, pool.Revision));

        using var stale = Change($$"""{"limit": "1MiB", "revision": {{first.Revision}}}""");
        using var staleAnswer = await fixture.Host.Http.SendAsync(stale);
        Assert.Equal(second.Revision, (await AssertProblemAsync(staleAnswer, HttpStatusCode.Conflict, "revision-stale")).Revision);
        using var conflict = Change($$"""{"limit": "9MiB", "revision": {{second.Revision}}}""");
        using var conflictAnswer = await fixture.Host.Http.SendAsync(conflict);
        Assert.Equal(second.Revision, (await AssertProblemAsync(conflictAnswer, HttpStatusCode.Conflict, "revision-conflict")).Revision);
        Assert.Equal("applied", (await ChangeAsync($$"""{"limit": "50%", "revision": {{second.Revision}}}""")).Outcome);
    }

    [Fact]
    public async Task Change_OfAPoolThatIsNotThere_IsRefused()
    {
        using var request = Change("""{"limit": "1MiB"}""");
        request.RequestUri = new Uri("/pools/other/limit", UriKind.Relative);
        using var response = await fixture.Host.Http.SendAsync(request);
        await AssertProblemAsync(response, HttpStatusCode.NotFound, "pool-not-found");
    }

    [Fact]
    public async Task Trim_NothingWarm_SaysSo()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/pools/{HostWithPool.PoolName}/trim");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", fixture.Token);
        using var response = await fixture.Host.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(0, (await response.Content.ReadFromJsonAsync(ManagementJsonContext.Default.TrimOutcomeView))!.AskedBytes);
    }

    [Fact]
    public async Task Change_AfterTheHostWasKilled_IsStillInForce()
    {
        var changed = await ChangeAsync("""{"limit": "24MiB"}""");
        await fixture.RestartAsync();
        var pool = await fixture.Host.GetUntilAsync($"/pools/{HostWithPool.PoolName}", ManagementJsonContext.Default.PoolView, view => view.State == "ready");
        Assert.Equal((24L << 20, changed.Revision), (pool.LimitBytes, pool.Revision));
    }

    [Fact]
    public async Task Events_OfAChange_AreStreamedAndGoOnFromWhereAReaderLeftOff()
    {
        var revision = (await ChangeAsync("""{"limit": "20MiB"}""")).Revision;
        var seen = await ReadEventsAsync(null, item => item.Kind == "policy-changed" && item.Detail.StartsWith($"revision {revision}:", StringComparison.Ordinal));
        Assert.Contains(seen, item => item.Kind == "pool-opened" && item.Pool == HostWithPool.PoolName);

        await ChangeAsync("""{"limit": "21MiB"}""");
        var last = seen[^1];
        var later = await ReadEventsAsync($"{last.Epoch}.{last.Serial}", item => item.Detail.StartsWith($"revision {revision + 1}:", StringComparison.Ordinal));
        Assert.All(later, item => Assert.True(item.Serial > last.Serial));
    }

    [Fact]
    public async Task ClusterEvents_OfATypeAskedFor_HaveTheFormOfAkkaManagement()
    {
        using var stream = await fixture.Host.Http.GetStreamAsync("/cluster/domain-events?type=MemberUp");
        using var reader = new StreamReader(stream);
        string? line;
        while ((line = await reader.ReadLineAsync().WaitAsync(HostLauncher.Patience)) is not null && !line.StartsWith("event: ", StringComparison.Ordinal))
        {
        }

        Assert.Equal("event: MemberUp", line);
        using var data = JsonDocument.Parse((await reader.ReadLineAsync().WaitAsync(HostLauncher.Patience))!["data: ".Length..]);
        Assert.Equal("MemberUp", data.RootElement.GetProperty("type").GetString());
        Assert.Equal(
            $"akka.tcp://kvcached@127.0.0.1:{fixture.Host.Ready.Port}",
            data.RootElement.GetProperty("member").GetProperty("uniqueAddress").GetProperty("address").GetString());
    }

    [Theory]
    [InlineData("POST", "/cluster/members", "address=nonsense", HttpStatusCode.BadRequest)]
    [InlineData("POST", "/cluster/members", "address=akka.tcp%3A%2F%2Fother%40127.0.0.1%3A1", HttpStatusCode.BadRequest)]
    [InlineData("POST", "/cluster/members", "", HttpStatusCode.BadRequest)]
    [InlineData("PUT", "/cluster/members/kvcached@127.0.0.1:1", "operation=Down", HttpStatusCode.NotFound)]
    [InlineData("PUT", "/cluster/members/kvcached@127.0.0.1:SELF", "operation=Explode", HttpStatusCode.BadRequest)]
    [InlineData("DELETE", "/cluster/members/kvcached@127.0.0.1:1", "", HttpStatusCode.NotFound)]
    [InlineData("POST", "/cluster/members", "address=kvcached%40127.0.0.1%3ASELF", HttpStatusCode.OK)]
    [InlineData("POST", "/pools", "", HttpStatusCode.MethodNotAllowed)]
    public async Task ClusterChange_WithTheToken_IsAnsweredAsAkkaManagementDoes(string method, string path, string form, HttpStatusCode status)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path.Replace("SELF", $"{fixture.Host.Ready.Port}", StringComparison.Ordinal))
        {
            Content = new StringContent(form.Replace("SELF", $"{fixture.Host.Ready.Port}", StringComparison.Ordinal), Encoding.ASCII, "application/x-www-form-urlencoded"),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", fixture.Token);
        using var response = await fixture.Host.Http.SendAsync(request);
        Assert.Equal(status, response.StatusCode);
    }

    [Fact]
    public async Task OpenApi_Document_NamesEveryRouteAndItsAnswers()
    {
        using var document = JsonDocument.Parse(await fixture.Host.Http.GetStringAsync("/openapi.json"));
        var paths = document.RootElement.GetProperty("paths");
        foreach (var (path, method) in ((string, string)[])
            [("/alive", "get"), ("/ready", "get"), ("/pools", "get"), ("/pools/{pool}", "get"), ("/pools/{pool}/limit", "put"), ("/pools/{pool}/trim", "post"), ("/gpus", "get"),
            ("/gpus/{gpu}/drain", "post"), ("/gpus/{gpu}/drain", "delete"), ("/dashboard/stream", "get"),
            ("/events", "get"), ("/cluster/members", "get"), ("/cluster/members", "post"), ("/cluster/domain-events", "get"), ("/bootstrap/seed-nodes", "get")])
        {
            Assert.NotEqual(string.Empty, paths.GetProperty(path).GetProperty(method).GetProperty("summary").GetString());
        }

        Assert.Equal(
            ["200", "202", "400", "401", "403", "404", "409", "415", "503"],
            paths.GetProperty("/pools/{pool}/limit").GetProperty("put").GetProperty("responses").EnumerateObject().Select(answer => answer.Name));
    }

    private HttpRequestMessage Change(string body)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, Path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", fixture.Token);
        return request;
    }

    private async Task<LimitOutcomeView> ChangeAsync(string body)
    {
        using var request = Change(body);
        using var response = await fixture.Host.Http.SendAsync(request);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        return (await response.Content.ReadFromJsonAsync(ManagementJsonContext.Default.LimitOutcomeView))!;
    }

    private Task<PoolView> ReadPoolAsync() => fixture.Host.GetAsync($"/pools/{HostWithPool.PoolName}", ManagementJsonContext.Default.PoolView);

    private async Task<List<DomainEventView>> ReadEventsAsync(string? lastId, Func<DomainEventView, bool> isLast)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/events");
        if (lastId is not null)
        {
            request.Headers.Add("Last-Event-ID", lastId);
        }

        using var response = await fixture.Host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var seen = new List<DomainEventView>();
        while (await reader.ReadLineAsync().WaitAsync(HostLauncher.Patience) is { } line)
        {
            if (line.StartsWith("data: ", StringComparison.Ordinal))
            {
                seen.Add(JsonSerializer.Deserialize(line["data: ".Length..], ManagementJsonContext.Default.DomainEventView)!);
                if (isLast(seen[^1]))
                {
                    break;
                }
            }
        }

        return seen;
    }

    private static async Task<string> ReadToEndAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return await reader.ReadToEndAsync().WaitAsync(HostLauncher.Patience);
    }

    private static async Task<ProblemView> AssertProblemAsync(HttpResponseMessage response, HttpStatusCode status, string type)
    {
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(status == response.StatusCode, $"{(int)response.StatusCode}, not {(int)status}: {body}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        var problem = JsonSerializer.Deserialize(body, ManagementJsonContext.Default.ProblemView)!;
        Assert.Equal($"urn:kvcached:problem:{type}", problem.Type);
        return problem;
    }
}
