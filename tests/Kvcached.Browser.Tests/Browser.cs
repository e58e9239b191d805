using Microsoft.Playwright;

namespace Kvcached.Browser.Tests;

/// <summary>One Chromium for all tests of a class; none where the system has none.</summary>
public sealed class Browser : IAsyncLifetime
{
    private const string Variable = "CHROMIUM";

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public async Task InitializeAsync()
    {
        if (Find() is not { } path)
        {
            return;
        }

        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = path, ChromiumSandbox = Environment.UserName != "root" });
    }

    public async Task DisposeAsync()
    {
        await (_browser?.DisposeAsync() ?? ValueTask.CompletedTask);
        _playwright?.Dispose();
    }

    /// <summary>A window of its own, with nothing left from others. Skips the test where there is no browser.</summary>
    /// <param name="scheme">Which theme its user likes.</param>
    /// <param name="width">In CSS pixels.</param>
    public async Task<IPage> OpenAsync(ColorScheme scheme = ColorScheme.Light, int width = 1280)
    {
        Skip.If(_browser is null, $"There is no Chromium in the PATH, and {Variable} names none.");
        var page = await _browser!.NewPageAsync(new BrowserNewPageOptions { ColorScheme = scheme, ViewportSize = new ViewportSize { Width = width, Height = 900 } });

        // It only bounds a test that hangs.
        page.SetDefaultTimeout((float)HostLauncher.Patience.TotalMilliseconds);
        return page;
    }

    private static string? Find() => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named
        ? named
        : (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':')
            .SelectMany(directory => new[] { "chromium", "chromium-browser", "google-chrome" }, Path.Combine)
            .FirstOrDefault(File.Exists);
}
