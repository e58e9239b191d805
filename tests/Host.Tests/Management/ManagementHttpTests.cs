using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Management;

/// <summary>The management HTTP of one host that is a domain by itself.</summary>
public sealed class ManagementHttpTests(SingleHostFixture fixture) : IClassFixture<SingleHostFixture>
{
    private readonly RunningHost _host = fixture.Host;

    private string SelfAddress => $"akka.tcp://kvcached@127.0.0.1:{_host.Ready.Port}";

    [Fact]
    public async Task Alive_Always_Answers() =>
        Assert.Equal("alive", (await _host.GetAsync("/alive", ManagementJsonContext.Default.HealthView)).Status);

    [Fact]
    public async Task Ready_CompleteDomain_IsReached()
    {
        var ready = await _host.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
        Assert.Empty(ready.Reasons);
    }

    [Fact]
    public async Task Members_OneHost_HaveTheFormOfAkkaManagement()
    {
        await _host.GetUntilAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView, view => view.Leader is not null);
        using var json = JsonDocument.Parse(await _host.Http.GetStringAsync("/cluster/members"));
        Assert.Equal(
            ["leader", "members", "oldest", "oldestPerRole", "selfNode", "unreachable"],
            json.RootElement.EnumerateObject().Select(property => property.Name).Order(StringComparer.Ordinal));
        Assert.Equal(SelfAddress, json.RootElement.GetProperty("selfNode").GetString());
        Assert.Equal(SelfAddress, json.RootElement.GetProperty("leader").GetString());
        Assert.Equal(SelfAddress, json.RootElement.GetProperty("oldest").GetString());
        Assert.Equal(SelfAddress, json.RootElement.GetProperty("oldestPerRole").GetProperty("domain-default").GetString());
        var member = Assert.Single(json.RootElement.GetProperty("members").EnumerateArray());
        Assert.Equal(["node", "nodeUid", "roles", "status"], member.EnumerateObject().Select(property => property.Name).Order(StringComparer.Ordinal));
        Assert.Equal("Up", member.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.String, member.GetProperty("nodeUid").ValueKind);
    }

    [Fact]
    public async Task Member_ByFullOrShortAddress_IsFound()
    {
        foreach (var address in new[] { SelfAddress, SelfAddress["akka.tcp://".Length..] })
        {
            var member = await _host.GetAsync($"/cluster/members/{address}", ManagementJsonContext.Default.ClusterMemberView);
            Assert.Equal(SelfAddress, member.Node);
        }

        await AssertProblemAsync("/cluster/members/kvcached@127.0.0.1:1", HttpStatusCode.NotFound, "member-not-found");
    }

    [Fact]
    public async Task SeedNodes_OneHost_HaveTheFormOfAkkaManagement()
    {
        using var json = JsonDocument.Parse(await _host.Http.GetStringAsync("/bootstrap/seed-nodes"));
        Assert.Equal(_host.Ready.Port, json.RootElement.GetProperty("SelfNode").GetProperty("Port").GetInt32());
        var node = Assert.Single(json.RootElement.GetProperty("Nodes").EnumerateArray());
        Assert.Equal("kvcached", node.GetProperty("Node").GetProperty("System").GetString());
        Assert.Equal(1, node.GetProperty("Status").GetInt32());
    }

    [Fact]
    public async Task AkkaManagement_OnItsOwnPort_ServesItsOwnRoutes()
    {
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{_host.Ready.AkkaManagementPort}") };
        using var theirs = JsonDocument.Parse(await http.GetStringAsync("/bootstrap/seed-nodes"));
        using var ours = JsonDocument.Parse(await _host.Http.GetStringAsync("/bootstrap/seed-nodes"));
        Assert.Equal(
            theirs.RootElement.GetProperty("Nodes")[0].GetProperty("NodeUid").GetInt32(),
            ours.RootElement.GetProperty("Nodes")[0].GetProperty("NodeUid").GetInt32());
        Assert.Contains(SelfAddress, await http.GetStringAsync("/remote/address"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pools_NoneOpen_DescribeTheDomain()
    {
        var pools = await _host.GetUntilAsync("/pools", ManagementJsonContext.Default.PoolsView, view => view is { Domain: not null, IsRecovering: false });
        Assert.Equal("default", pools.Domain);
        Assert.Equal(1, pools.ExpectedHosts);
        Assert.True(pools.Epoch > 0);
        Assert.Empty(pools.Pools);
        Assert.Equal(0, pools.Counters.Decisions);
        await AssertProblemAsync("/pools/llama", HttpStatusCode.NotFound, "pool-not-found");
    }

    [Fact]
    public async Task Gpus_LocalGpu_HasWhatOnlyItsHostKnows()
    {
        var gpus = await _host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, view => view.Length > 0);
        var gpu = Assert.Single(gpus);
        Assert.Equal("HOST-0", gpu.Gpu);
        Assert.Equal("host", gpu.Backend);
        Assert.Equal(_host.Ready.CapacityBytes, gpu.CapacityBytes);
        Assert.Equal(gpu.CapacityBytes, gpu.FreeBytes);
        Assert.Equal(0, gpu.RankMappedBytes);
        Assert.Equal(0, gpu.RankKeptBytes);
        Assert.Equal(0, gpu.RankStockBytes);
        Assert.Equal(0, gpu.RankQuarantinedBytes);
        Assert.Equal(0, gpu.HandleCount);
        Assert.Equal(0, gpu.FileDescriptorCount);
        Assert.Null(gpu.DeviceTotalBytes);
    }

    [Theory]
    [InlineData("evil.example", false)]
    [InlineData("evil.example:8558", false)]
    [InlineData("127.0.0.1.evil.example", false)]
    [InlineData("10.0.0.1", false)]
    [InlineData("localhost", true)]
    [InlineData("LOCALHOST:1", true)]
    [InlineData("127.0.0.1:8558", true)]
    [InlineData("[::1]:8558", true)]
    public async Task Request_HostHeader_MustNameThisHost(string header, bool isServed)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/alive");
        request.Headers.Host = header;
        using var response = await _host.Http.SendAsync(request);
        Assert.Equal(isServed ? HttpStatusCode.OK : HttpStatusCode.MisdirectedRequest, response.StatusCode);
    }

    [Fact]
    public async Task Request_UnknownRoute_IsAProblem() => await AssertProblemAsync("/nothing/here", HttpStatusCode.NotFound, "route-not-found");

    [Theory]
    [InlineData("POST", "/pools")]
    [InlineData("PUT", "/cluster/members/x")]
    [InlineData("DELETE", "/cluster/members/x")]
    public async Task Request_ThatWouldChangeSomethingWithoutTheToken_IsRefused(string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var response = await _host.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
    }

    private async Task AssertProblemAsync(string path, HttpStatusCode status, string type)
    {
        using var response = await _host.Http.GetAsync(path);
        Assert.Equal(status, response.StatusCode);
        Assert.Equal(new MediaTypeHeaderValue("application/problem+json"), response.Content.Headers.ContentType);
        var problem = await response.Content.ReadFromJsonAsync(ManagementJsonContext.Default.ProblemView);
        Assert.Equal($"urn:kvcached:problem:{type}", problem!.Type);
        Assert.Equal((int)status, problem.Status);
    }
}
