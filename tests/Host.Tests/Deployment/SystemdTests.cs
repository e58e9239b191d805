using System.Diagnostics;
using Kvcached.Host.Options;
using Kvcached.Host.Startup;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Deployment;

/// <summary>The units in <c>samples/systemd</c> say what a host understands, and what keeps engines alive.</summary>
public sealed class SystemdTests
{
    private const string Verifier = "/usr/bin/systemd-analyze";

    private static readonly ILookup<string, string> Service = KeysOf("kvcached@.service");

    [Fact]
    public void Service_StartsHosts_WithSettingsThatTheyAccept()
    {
        var command = Assert.Single(Service["ExecStart"]).Split(' ');
        Assert.EndsWith("/Kvcached.Host", command[0], StringComparison.Ordinal);
        var first = Read(command, "0", []);
        var second = Read(command, "1", HostSettingsIn.LinesOf(Sample("1.env")));

        Assert.Equal((new GpuChoice.ByIndex(0), new GpuChoice.ByIndex(1)), (first.Gpu, second.Gpu));
        Assert.Equal(first.Ranks.Domain, second.Ranks.Domain);
        Assert.Equal([$"127.0.0.1:{first.Ranks.Port}"], first.Ranks.SeedHosts);
        Assert.Equal(first.Ranks.SeedHosts, second.Ranks.SeedHosts);
        Assert.Equal(4, new[] { first.Ranks.Port, second.Ranks.Port, first.ManagementPort, second.ManagementPort }.Distinct().Count());
        Assert.NotEqual(first.Gateway.SocketPath, second.Gateway.SocketPath);
        Assert.Equal("kvcached-engines", second.Gateway.GroupName);
    }

    [Fact]
    public void Service_RestartsTheHost_AndNeverEndsWhatIsntItsOwn()
    {
        Assert.Equal("always", Assert.Single(Service["Restart"]));
        Assert.Equal("mixed", Assert.Single(Service["KillMode"]));
        Assert.Equal("0", Assert.Single(Service["StartLimitIntervalSec"]));

        // A setting that is wrong stays wrong; everything else may pass.
        Assert.Equal(((int)HostExitCode.Usage).ToString(System.Globalization.CultureInfo.InvariantCulture), Assert.Single(Service["RestartPreventExitStatus"]));
        Assert.Empty(Service["RuntimeDirectory"]);
        Assert.Empty(Service["PrivateTmp"]);
        Assert.Empty(Service["PrivateDevices"]);
        Assert.Empty(Service["MemoryDenyWriteExecute"]);
        Assert.Equal("kvcached.target", Assert.Single(Service["WantedBy"]));
    }

    [Fact]
    public void Directories_AreMadeForTheUnitsUser_AndMayBeWritten()
    {
        var made = HostSettingsIn.LinesOf(Sample("kvcached.tmpfiles.conf"))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToDictionary(parts => parts[1], parts => parts[2..]);
        var runtime = Assert.Single(Service["Environment"]).Split('=');
        Assert.Equal("XDG_RUNTIME_DIR", runtime[0]);
        var runDirectory = Path.Combine(runtime[1], "kvcached");
        var sockets = Path.GetDirectoryName(Read(Service["ExecStart"].Single().Split(' '), "0", []).Gateway.SocketPath)!;

        Assert.Equal(["0700", .. Service["User"], .. Service["Group"]], made[runDirectory]);
        Assert.Equal(["0750", Service["User"].Single(), "kvcached-engines"], made[sockets]);
        Assert.Equal([runDirectory, sockets], Assert.Single(Service["ReadWritePaths"]).Split(' ').Order(StringComparer.Ordinal));
    }

    [SkippableFact]
    public async Task Units_AreUnderstoodBySystemd()
    {
        Skip.IfNot(File.Exists(Verifier), $"There is no {Verifier}.");
        var directory = Directory.CreateTempSubdirectory("kvcached-units-");
        try
        {
            // The program itself isn't there; any will do.
            var unit = Path.Combine(directory.FullName, "kvcached@0.service");
            await File.WriteAllTextAsync(unit, Sample("kvcached@.service").Replace("/opt/kvcached/Kvcached.Host", "/bin/true", StringComparison.Ordinal));
            var target = Path.Combine(directory.FullName, "kvcached.target");
            await File.WriteAllTextAsync(target, Sample("kvcached.target"));
            using var verifier = Process.Start(new ProcessStartInfo(Verifier, ["verify", "--man=no", unit, target]) { RedirectStandardError = true })!;
            var said = await verifier.StandardError.ReadToEndAsync().WaitAsync(HostLauncher.Patience);
            await verifier.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
            Assert.True(verifier.ExitCode == 0 && !said.Contains("kvcached", StringComparison.Ordinal), said);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static KvcachedHostOptions Read(string[] command, string instance, IEnumerable<string> environment)
    {
        var (arguments, config) = HostSettingsIn.SplitConfig([.. command[1..].Select(word => word.Replace("%i", instance, StringComparison.Ordinal))]);
        Assert.Equal("/etc/kvcached/host.conf", config);
        Assert.Equal("-/etc/kvcached/%i.env", Assert.Single(Service["EnvironmentFile"]));
        return HostSettingsIn.Read(arguments, Sample("host.conf"), environment);
    }

    private static ILookup<string, string> KeysOf(string file) => HostSettingsIn.LinesOf(Sample(file)).Where(line => !line.StartsWith('['))
        .Select(line => line.Split('=', 2)).ToLookup(pair => pair[0], pair => pair[1]);

    private static string Sample(string file) => RepositoryFiles.Read("samples", "systemd", file);
}
