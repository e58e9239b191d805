using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Management;

/// <summary>One host for all tests of a class.</summary>
public sealed class SingleHostFixture : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();

    public RunningHost Host { get; private set; } = null!;

    public async Task InitializeAsync() => Host = await _launcher.StartReadyAsync("--akka-management-port", "0");

    public Task DisposeAsync() => _launcher.DisposeAsync().AsTask();
}
