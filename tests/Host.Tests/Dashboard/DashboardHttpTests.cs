using System.Net;
using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Dashboard;

/// <summary>The page's files and its stream, without a browser.</summary>
public sealed class DashboardHttpTests(HostWithPool fixture) : IClassFixture<HostWithPool>
{
    [Theory]
    [InlineData("/", "text/html")]
    [InlineData("/dashboard/app.js", "text/javascript")]
    [InlineData("/dashboard/app.css", "text/css")]
    public async Task File_OfThePage_ComesWithAPolicyThatLetsNothingElseIn(string path, string type)
    {
        using var response = await fixture.Host.Http.GetAsync(path);
        Assert.Equal((HttpStatusCode.OK, type), (response.StatusCode, response.Content.Headers.ContentType!.MediaType));
        var policy = Assert.Single(response.Headers.GetValues("Content-Security-Policy"));
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
        Assert.DoesNotContain(fixture.Token, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_OfFiftyPages_ShowsAllOfThemTheDomain()
    {
        var pictures = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => ReadPictureAsync()));
        Assert.All(pictures, picture =>
        {
            Assert.Equal(HostWithPool.PoolName, Assert.Single(picture.Domain!.Pools).Name);
            Assert.Equal("HOST-0", Assert.Single(picture.Gpus).Gpu);
            Assert.Single(picture.Members.Members);
            Assert.Equal(string.Empty, picture.Problem);
        });
    }

    [Fact]
    public async Task Stream_ByAForeignHostName_IsRefused()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/dashboard/stream");
        request.Headers.Host = "evil.example";
        using var response = await fixture.Host.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.MisdirectedRequest, response.StatusCode);
    }

    private async Task<DashboardView> ReadPictureAsync()
    {
        using var response = await fixture.Host.Http.GetAsync("/dashboard/stream", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        using var patience = new CancellationTokenSource(HostLauncher.Patience);
        while (true)
        {
            var line = await reader.ReadLineAsync(patience.Token);
            Assert.NotNull(line);
            if (line.StartsWith("data: ", StringComparison.Ordinal)
                && JsonSerializer.Deserialize(line["data: ".Length..], ManagementJsonContext.Default.DashboardView) is { Domain: not null } picture)
            {
                return picture;
            }
        }
    }
}
