using Kvcached.Client;
using Kvcached.Core.Decisions;

namespace Kvcached.Host.Tests.Support;

/// <summary>A host with a pool that an engine of this process has opened, for tests that look at pools.</summary>
public sealed class HostWithPool : IAsyncLifetime
{
    public const string PoolName = "conv";

    private readonly HostLauncher _launcher = new();
    private KvSession? _session;
    private KvPool? _pool;

    public RunningHost Host { get; private set; } = null!;

    public string RunDirectory => Path.Combine(_launcher.TestDirectory, "kvcached");

    public string Token => File.ReadAllText(Host.Ready.TokenFile).Trim();

    public async Task InitializeAsync()
    {
        Host = await _launcher.StartReadyAsync("--gpu", "none:0");
        Open();
    }

    public Task DisposeAsync()
    {
        CloseEngine();
        return _launcher.DisposeAsync().AsTask();
    }

    /// <summary>The host is killed and another one started where it was.</summary>
    /// <param name="managementPort">Port of the next one's management HTTP; a free one by default.</param>
    public async Task RestartAsync(string managementPort = "0")
    {
        CloseEngine();
        Host.Kill();
        await Host.WaitForExitAsync();
        Host = await _launcher.StartReadyAtAsync(managementPort, "--gpu", "none:0");
        Open();
    }

    private void Open()
    {
        var session = KvSession.Open(new KvSessionOptions { SocketPath = Host.Ready.Socket, EngineName = "test" });
        Assert.True(session.IsGranted, session.Refusal?.ToString());
        _session = session.Value;
        var pool = _session!.OpenPool(RawEngine.Spec() with { Name = PoolName, Target = PoolTarget.Worker }, HostLauncher.Patience);
        Assert.True(pool.IsGranted, pool.Refusal?.ToString());
        _pool = pool.Value;
    }

    private void CloseEngine()
    {
        _pool?.Dispose();
        _session?.Dispose();
        (_pool, _session) = (null, null);
    }
}
