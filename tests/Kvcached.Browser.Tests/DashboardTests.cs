using System.Text.Json;
using Deque.AxeCore.Playwright;
using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Kvcached.Browser.Tests;

/// <summary>The page of a host with a pool, as people and screen readers have it.</summary>
public sealed class DashboardTests(HostWithPool fixture, Browser browser) : IClassFixture<HostWithPool>, IClassFixture<Browser>
{
    private static readonly float Patience = (float)HostLauncher.Patience.TotalMilliseconds;

    [SkippableTheory]
    [InlineData(ColorScheme.Light, 1280)]
    [InlineData(ColorScheme.Dark, 1280)]
    [InlineData(ColorScheme.Light, 360)]
    [InlineData(ColorScheme.Dark, 360)]
    public async Task Page_InBothThemesAndOnAPhone_ShowsTheDomain_IsAccessible_AndFits(ColorScheme scheme, int width)
    {
        var page = await OpenAsync(scheme, width);
        await Expect(page.Locator("#state")).ToHaveTextAsync("1 of 1 GPUs", Within<LocatorAssertionsToHaveTextOptions>());
        await Expect(page.GetByRole(AriaRole.Row, new() { NameRegex = new("conv HOST-0 ready") })).ToBeVisibleAsync();
        await Expect(page.Locator("#hosts")).ToContainTextAsync("coordinates, serves this page");
        await Expect(page.Locator("#events")).ToContainTextAsync("pool-opened conv");
        Assert.StartsWith("HOST-0: conv 0 B; ", await page.Locator("#gpus .bar").GetAttributeAsync("aria-label"), StringComparison.Ordinal);
        Assert.True(await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than its window");

        await TakePictureAsync(page, $"dashboard-{scheme}-{width}");
        var violations = (await page.RunAxe()).Violations;
        Assert.True(violations.Length == 0, string.Join(Environment.NewLine, violations.Select(v => $"{v.Id}: {v.Help} ({string.Join("; ", v.Nodes.Select(node => node.Html))})")));
    }

    [SkippableTheory]
    [InlineData(ColorScheme.Light, 1280)]
    [InlineData(ColorScheme.Dark, 1280)]
    [InlineData(ColorScheme.Dark, 360)]
    public async Task Bars_OfPoolsThatHoldMemory_AreInProportion_AndNamesAreNoMarkup(ColorScheme scheme, int width)
    {
        var page = await browser.OpenAsync(scheme, width);
        var picture = JsonSerializer.Serialize(BusyDomain(), ManagementJsonContext.Default.DashboardView);
        await page.RouteAsync("**/dashboard/stream", route => route.FulfillAsync(new RouteFulfillOptions { ContentType = "text/event-stream", Body = $"event: picture\ndata: {picture}\n\n" }));
        await page.GotoAsync(fixture.Host.Http.BaseAddress!.ToString());
        var first = page.Locator(".gpu").First;
        await Expect(first.Locator(".bar")).ToHaveAttributeAsync("aria-label", "GPU-5ac1: conv 40.0 GiB, <img src=x onerror=alert(1)> 10.0 GiB; 20.0 GiB of 80.0 GiB free");
        Assert.Equal("conv on GPU-9f02: 40.0 GiB used, floor 20.0 GiB, limit 30.0 GiB", await page.Locator("#pools .bar").Nth(1).GetAttributeAsync("aria-label"));
        var whole = await first.Locator(".bar").EvaluateAsync<double>("bar => bar.clientWidth");
        var parts = await first.Locator(".part").EvaluateAllAsync<double[]>("parts => parts.map(part => part.getBoundingClientRect().width)");
        Assert.Equal([30d / 80, 10d / 80, 10d / 80, 5d / 80], parts.Select(part => part / whole), (expected, actual) => Math.Abs(expected - actual) < 0.01);
        await Expect(page.Locator(".gpu").Last).ToContainTextAsync("draining, others leave too little");
        Assert.Equal(0, await page.Locator("img, script:not([src])").CountAsync());
        await TakePictureAsync(page, $"busy-{scheme}-{width}");
        Assert.Empty((await page.RunAxe()).Violations);
    }

    [SkippableFact]
    public async Task Limit_ChangedFromThePage_IsInForceAndShown()
    {
        var page = await OpenAsync();
        await page.GetByLabel("Limit on each GPU").FillAsync("24MiB");
        await page.GetByLabel("Token").FillAsync("wrong");
        await page.GetByRole(AriaRole.Button, new() { Name = "Change" }).ClickAsync();
        await Expect(page.Locator("#outcome")).ToContainTextAsync("Changes need the token");

        await page.GetByLabel("Token").FillAsync(fixture.Token);
        await page.GetByRole(AriaRole.Button, new() { Name = "Change" }).ClickAsync();
        await Expect(page.Locator("#outcome")).ToContainTextAsync("conv: applied, revision ", Within<LocatorAssertionsToContainTextOptions>());
        await Expect(page.Locator("#pools")).ToContainTextAsync("24.0 MiB", Within<LocatorAssertionsToContainTextOptions>());
        await Expect(page.Locator("#events")).ToContainTextAsync("policy-changed conv", Within<LocatorAssertionsToContainTextOptions>());
    }

    [SkippableFact]
    public async Task Host_ThatIsStartedAnew_IsFollowedWithoutReloading()
    {
        var page = await OpenAsync();
        await Expect(page.Locator("#state")).ToHaveTextAsync("1 of 1 GPUs", Within<LocatorAssertionsToHaveTextOptions>());
        await page.EvaluateAsync("document.title = 'not reloaded'");
        var port = fixture.Host.Ready.ManagementPort;

        await fixture.RestartAsync($"{port}");

        Assert.Equal(port, fixture.Host.Ready.ManagementPort);
        await Expect(page.Locator("#state")).ToHaveTextAsync("1 of 1 GPUs", Within<LocatorAssertionsToHaveTextOptions>());
        await Expect(page.Locator("#hosts")).ToContainTextAsync($":{fixture.Host.Ready.Port}", Within<LocatorAssertionsToContainTextOptions>());
        Assert.Equal("not reloaded", await page.TitleAsync());
    }

    private async Task<IPage> OpenAsync(ColorScheme scheme = ColorScheme.Light, int width = 1280)
    {
        var page = await browser.OpenAsync(scheme, width);
        page.Console += (_, said) => Assert.False(said.Type == "error" && said.Text.Contains("Content Security Policy", StringComparison.Ordinal), said.Text);
        await page.GotoAsync(fixture.Host.Http.BaseAddress!.ToString());
        return page;
    }

    /// <summary>Two GPUs, one of them short; a pool above its limit, and one whose name is an attempt.</summary>
    private static DashboardView BusyDomain()
    {
        PoolOnGpuView On(string gpu, long limit, long floor, long used, long warm) =>
            new(gpu, limit * ByteSize.GiB, floor * ByteSize.GiB, floor * ByteSize.GiB, used * ByteSize.GiB, warm * ByteSize.GiB, 0, 0);
        PoolView Pool(string name, string state, params PoolOnGpuView[] on) =>
            new("pool-1.1", name, "vllm", state, [.. on.Select(account => account.Gpu)], 100, 1000, 10, [], [], on[0].LimitBytes, on[0].FloorBytes, 2, 7, "00") { OnGpus = on };
        GpuView Gpu(string id, long used, long foreign, bool isShort) =>
            new(id, "1", "akka.tcp://kvcached@127.0.0.1:8550", "NVIDIA H100 80GB HBM3", "cuda", true, 80 * ByteSize.GiB, used * ByteSize.GiB, 0, 0, 20 * ByteSize.GiB,
                null, null, null, null, null, null, null, null)
            {
                ForeignBytes = foreign * ByteSize.GiB, HeadroomBytes = ByteSize.GiB, RoomBytes = (80 - foreign) * ByteSize.GiB, IsDeviceShort = isShort, IsDraining = isShort,
            };
        return new DashboardView(
            new PoolsView("default", 3, "2a", 2, false, new CountersView(1200, 800, 390, 1, 9, 44, 0, 0, 0.41, 1.92, 0.38),
                [Pool("conv", "ready", On("GPU-5ac1", 60, 20, 40, 10), On("GPU-9f02", 30, 20, 40, 10)), Pool("<img src=x onerror=alert(1)>", "ready", On("GPU-5ac1", 80, 15, 10, 0))]),
            [Gpu("GPU-5ac1", 50, 8, false), Gpu("GPU-9f02", 40, 42, true)],
            new ClusterMembersView("akka.tcp://kvcached@127.0.0.1:8550", [new("akka.tcp://kvcached@127.0.0.1:8550", "1", "Up", [])], [], null, "akka.tcp://kvcached@127.0.0.1:8550", new Dictionary<string, string>()),
            string.Empty);
    }

    /// <summary>For people to look at, where a folder is named.</summary>
    private static async Task TakePictureAsync(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("KVCACHED_PICTURES") is { Length: > 0 } directory)
        {
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(directory, $"{name.ToLowerInvariant()}.png"), FullPage = true });
        }
    }

    private static T Within<T>()
        where T : class, new()
    {
        var options = new T();
        typeof(T).GetProperty("Timeout")!.SetValue(options, Patience);
        return options;
    }
}
