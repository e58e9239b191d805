using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kvcached.Actors.Engines;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sockets;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Startup;

/// <summary>Mutual TLS between hosts: who shows a certificate of the domain's authority is one of them, and nobody else.</summary>
public sealed class TlsTests : IAsyncLifetime
{
    private readonly HostLauncher _launcher = new();
    private readonly Authority _domain = new("domain");
    private readonly Authority _others = new("others");

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        _domain.Dispose();
        _others.Dispose();
        await _launcher.DisposeAsync();
    }

    [Fact]
    public async Task Hosts_WithCertificatesOfTheAuthority_FormADomain_AndStrangersDoNot()
    {
        var first = await _launcher.StartReadyAsync(["--gpu", "none:0", "--hosts", "2", "--rank-link", "akka", .. Tls("first", _domain, _domain)]);
        var second = await _launcher.StartReadyAsync(["--gpu", "none:1", "--hosts", "2", "--rank-link", "akka", "--seed", $"127.0.0.1:{first.Ready.Port}", .. Tls("second", _domain, _domain)]);
        await second.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, gpus => gpus.Count(gpu => gpu.IsAvailable) == 2);

        // One of another authority, and one that speaks no TLS.
        string[][] strangers = [Tls("other", _others, _others), []];
        foreach (var arguments in strangers)
        {
            var stranger = _launcher.Start(["--port", "0", "--management-port", "0", "--memory", "64MiB", "--gpu", "none:2", "--seed", $"127.0.0.1:{first.Ready.Port}", "--join-timeout", "4s", .. arguments]);
            Assert.NotEqual(0, await stranger.WaitForExitAsync());
            Assert.Contains("was not joined within", stranger.Errors, StringComparison.Ordinal);
        }

        Assert.Equal(2, (await first.GetAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView)).Members.Count);
        await IsDeafAsync(first.Ready.Port);
    }

    [Fact]
    public async Task Engine_OverAkkaRemote_IsToldWhyHostsWithTlsDontAnswer_AndServedByTheSocket()
    {
        var secured = await _launcher.StartReadyAsync(["--gpu", "none:0", .. Tls("first", _domain, _domain)]);
        var refused = await Assert.ThrowsAsync<EngineConnectException>(() => EngineClient.ConnectAsync(
            new EngineClientOptions { EngineName = "plain", Hosts = [$"127.0.0.1:{secured.Ready.Port}"], ConnectTimeout = TimeSpan.FromSeconds(3) }, CancellationToken.None));
        Assert.Contains($"127.0.0.1:{secured.Ready.Port} takes connections by mutual TLS from hosts only", refused.Message, StringComparison.Ordinal);

        // It isn't said of a host without TLS that merely doesn't know the domain's name.
        var plain = await _launcher.StartReadyAsync("--gpu", "none:1", "--domain", "other");
        var unknown = await Assert.ThrowsAsync<EngineConnectException>(() => EngineClient.ConnectAsync(
            new EngineClientOptions { EngineName = "plain", Hosts = [$"127.0.0.1:{plain.Ready.Port}"], ConnectTimeout = TimeSpan.FromSeconds(3) }, CancellationToken.None));
        Assert.DoesNotContain("TLS", unknown.Message, StringComparison.Ordinal);

        using var engine = await RawEngine.GreetAsync(secured.Ready.Socket, EngineRole.Scheduler);
    }

    [Fact]
    public async Task Host_WithFilesThatCannotBeUsed_DoesNotStart_AndSaysWhichAndWhy()
    {
        foreach (var (arguments, expected) in ((string[], string)[])
            [
                (Tls("stranger", _others, _domain), "isn't a certificate that"),
                (Tls("late", _domain, _domain, isExpired: true), "isn't a certificate that"),
                (["--tls-certificate", "/nowhere", "--tls-key", "/nowhere", "--tls-authority", Tls("a", _domain, _domain)[5]], "/nowhere"),
                (["--tls-certificate", "/nowhere"], "tls-key: "),
            ])
        {
            var host = _launcher.Start(["--port", "0", "--management-port", "0", "--memory", "64MiB", "--gpu", "none:0", .. arguments]);
            Assert.NotEqual(0, await host.WaitForExitAsync());
            Assert.Contains(expected, host.Errors, StringComparison.Ordinal);
        }
    }

    /// <summary>Who connects without TLS hears nothing of the cluster's protocol before it is cut off.</summary>
    private static async Task IsDeafAsync(int port)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", port);
        var stream = client.GetStream();
        await stream.WriteAsync(new byte[64]);
        var heard = new byte[256];
        var count = await stream.ReadAsync(heard).AsTask().WaitAsync(HostLauncher.Patience);

        // An alert of TLS (21) at most.
        Assert.True(count == 0 || heard[0] == 21, $"{count} bytes came, beginning with {heard[0]}");
    }

    private string[] Tls(string name, Authority signer, Authority trusted, bool isExpired = false)
    {
        var (certificate, key, authority) = (In($"{name}.pem"), In($"{name}.key"), In($"{name}-ca.pem"));
        signer.Sign(name, isExpired, certificate, key);
        File.WriteAllText(authority, trusted.Pem);
        return ["--tls-certificate", certificate, "--tls-key", key, "--tls-authority", authority];
    }

    private string In(string name) => Path.Combine(_launcher.TestDirectory, name);

    /// <summary>A certificate authority of its own.</summary>
    private sealed class Authority : IDisposable
    {
        private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        private readonly X509Certificate2 _certificate;

        public Authority(string name)
        {
            var request = new CertificateRequest($"CN={name}", _key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            _certificate = request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-30), TimeProvider.System.GetUtcNow().AddDays(30));
        }

        public string Pem => _certificate.ExportCertificatePem();

        public void Sign(string name, bool isExpired, string certificatePath, string keyPath)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
            var now = TimeProvider.System.GetUtcNow();
            using var signed = request.Create(_certificate, now.AddDays(-20), isExpired ? now.AddDays(-10) : now.AddDays(20), RandomNumberGenerator.GetBytes(8));
            File.WriteAllText(certificatePath, signed.ExportCertificatePem());
            File.WriteAllText(keyPath, key.ExportPkcs8PrivateKeyPem());
        }

        public void Dispose()
        {
            _key.Dispose();
            _certificate.Dispose();
        }
    }
}
