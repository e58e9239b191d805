using Akka.Configuration;
using Kvcached.Core.Units;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Host.Options;
using Microsoft.Extensions.Configuration;

namespace Kvcached.Host.Tests.Options;

public sealed class HostOptionsReaderTests
{
    [Fact]
    public void Read_NothingGiven_GivesTheDefaults() => AssertSame(new KvcachedHostOptions(), Read());

    [Fact]
    public void Read_EverySettingGiven_ReachesTheOptions()
    {
        var options = Read(
            "--gpu", "none:7", "--domain", "blue-1", "--hosts", "3", "--backend=host", "--memory", "1.5GiB", "--port", "0", "--bind", "127.0.0.2",
            "--seed", "127.0.0.1:8550", "--seed", "[::1]:1", "--management-port", "0", "--management-token", "/t", "--akka-management-port", "0", "--rank-link", "akka", "--run-dir", "/x",
            "--copier-path", "/y", "--copier-call-timeout", "7s", "--join-timeout", "0", "--management-ask-timeout", "1s", "--decision-deadline", "3 s", "--session-lease", "1m",
            "--revoke-deadline", "20ms", "--shrink-deadline", "0", "--shrink-pause", "9s", "--sharing-policy", "priority", "--otlp-endpoint", "http://127.0.0.1:4317", "--trace-share", "0.25", "--return-deadline", "4s", "--recovery-deadline", "5s", "--worker-deadline", "30ms", "--reattach-window", "6s", "--host-return-window", "8s", "--quiesce-window", "9s", "--reopen-window", "0",
            "--register-interval", "1s", "--housekeeping-interval", "2s", "--kept-decay", "1.5s",
            "--max-kept-per-pool", "2GiB", "--max-extent-share", "0.5", "--max-waiting-requests-per-pool", "9", "--socket", "/s/e.sock", "--socket-group", "wheel", "--allow-uid", "1,2", "--allow-uid", "3",
            "--max-connections", "11", "--max-connections-per-user", "10", "--test-crash-signal", "--tls-certificate", "/c", "--tls-key", "/k", "--tls-authority", "/a", "--headroom", "3GiB", "--headroom-calm", "0", "--test-foreign-memory", "/f",
            "--test-fail", "create:2:OutOfMemory", "--test-fail", "any:7:hang");

        Assert.Equal(new GpuChoice.HostMemory(7), options.Gpu);
        Assert.Equal(BackendChoice.Host, options.Backend);
        Assert.Equal(1536 * ByteSize.MiB, options.MemoryBytes);
        Assert.Equal(0, options.ManagementPort);
        Assert.Equal((0, "/t"), (options.AkkaManagementPort, options.ManagementTokenFile));
        Assert.Equal("/x", options.RunDirectory);
        Assert.Equal(TimeSpan.Zero, options.JoinTimeout);
        Assert.Equal(TimeSpan.FromSeconds(1), options.ManagementAskTimeout);
        Assert.Equal(TimeSpan.FromSeconds(1.5), options.Pages.KeptDecay);
        Assert.Equal(2 * ByteSize.GiB, options.Pages.MaxKeptBytesPerPool);
        Assert.Equal("/s/e.sock", options.Gateway.SocketPath);
        Assert.Equal("wheel", options.Gateway.GroupName);
        Assert.Equal([1u, 2u, 3u], options.Gateway.AllowedUsers);
        Assert.Equal(11, options.Gateway.MaxConnections);
        Assert.Equal(10, options.Gateway.MaxConnectionsPerUser);
        Assert.Equal("blue-1", options.Ranks.Domain);
        Assert.Equal(3, options.Ranks.ExpectedHosts);
        Assert.Equal("127.0.0.2", options.Ranks.BindAddress);
        Assert.Equal(0, options.Ranks.Port);
        Assert.Equal(["127.0.0.1:8550", "[::1]:1"], options.Ranks.SeedHosts);
        Assert.Equal("/y", options.Ranks.CopierPath);
        Assert.Equal(TimeSpan.FromSeconds(7), options.Ranks.CopierCallTimeout);
        Assert.Equal(TimeSpan.FromSeconds(3), options.Ranks.DecisionDeadline);
        Assert.Equal(TimeSpan.FromMinutes(1), options.Ranks.SessionLease);
        Assert.Equal(TimeSpan.FromMilliseconds(20), options.Ranks.RevokeDeadline);
        Assert.Equal((TimeSpan.Zero, TimeSpan.FromSeconds(9)), (options.Ranks.ShrinkDeadline, options.Ranks.ShrinkPause));
        Assert.Equal("priority", options.Ranks.SharingPolicy);
        Assert.Equal((new Uri("http://127.0.0.1:4317"), 0.25), (options.OtlpEndpoint, options.TraceShare));
        Assert.Equal(TimeSpan.FromSeconds(4), options.Ranks.ReturnDeadline);
        Assert.Equal(TimeSpan.FromSeconds(5), options.Ranks.RecoveryDeadline);
        Assert.Equal(TimeSpan.FromMilliseconds(30), options.Ranks.WorkerDeadline);
        Assert.Equal(TimeSpan.FromSeconds(6), options.Ranks.ReattachWindow);
        Assert.Equal(TimeSpan.FromSeconds(8), options.Ranks.HostReturnWindow);
        Assert.Equal(TimeSpan.FromSeconds(9), options.Ranks.QuiesceWindow);
        Assert.Equal(TimeSpan.Zero, options.Ranks.ReopenWindow);
        Assert.Equal(TimeSpan.FromSeconds(1), options.Ranks.RegisterInterval);
        Assert.Equal(TimeSpan.FromSeconds(2), options.Ranks.HousekeepingInterval);
        Assert.Equal(0.5, options.Ranks.MaxExtentShare);
        Assert.Equal(9, options.Ranks.MaxWaitingRequestsPerPool);
        Assert.True(options.Ranks.IsCrashSignalHeard);
        Assert.False(options.Ranks.UsesLocalLanes);
        Assert.Equal(new TlsFiles("/c", "/k", "/a"), options.Tls);
        Assert.Equal((new HeadroomChoice(false, 3 * ByteSize.GiB), TimeSpan.Zero, "/f"), (options.Headroom, options.HeadroomCalm, options.ForeignMemoryFile));
        Assert.Equal([new NamedFault(VirtualMemoryOperation.Create, 2, DriverCode.OutOfMemory), new NamedFault(null, 7, null)], options.Faults.AsEnumerable());
    }

    // Each message names the key, the value and what is allowed.
    [Theory]
    [InlineData("gpu", "first", "none:K")]
    [InlineData("rank-link", "tcp", "local or akka")]
    [InlineData("allow-uid", "1,root", "1000,1001")]
    [InlineData("test-fail", "create:0:OutOfMemory", "STEP:N:CODE")]
    [InlineData("test-fail", "invent:1:OutOfMemory", "STEP:N:CODE")]
    [InlineData("test-fail", "3:1:OutOfMemory", "STEP:N:CODE")]
    [InlineData("test-fail", "map:1:Success", "STEP:N:CODE")]
    [InlineData("allow-uid", "4294967295", "1000,1001")]
    [InlineData("max-connections", "0", "1 to 1000000")]
    [InlineData("max-connections-per-user", "0", "1 to 1000000")]
    [InlineData("headroom", "much", "auto, off, or 0 and more")]
    [InlineData("headroom-calm", "2h", "0, or 1ms to 1h")]
    [InlineData("gpu", "none:1024", "0 to 1023")]
    [InlineData("gpu", "256", "0 to 255")]
    [InlineData("gpu", "-1", "0 to 255")]
    [InlineData("gpu", "MIG-1", "GPU-")]
    [InlineData("domain", "", "1 to 32 letters")]
    [InlineData("domain", "a_b", "1 to 32 letters")]
    [InlineData("domain", "a23456789012345678901234567890123", "1 to 32 letters")]
    [InlineData("hosts", "0", "1 to 1024")]
    [InlineData("hosts", "1025", "1 to 1024")]
    [InlineData("backend", "rocm", "auto, cuda or host")]
    [InlineData("memory", "1MiB", "2 MiB to 64 TiB")]
    [InlineData("memory", "lots", "2 MiB to 64 TiB")]
    [InlineData("port", "65536", "0 to 65535")]
    [InlineData("port", "-1", "0 to 65535")]
    [InlineData("port", "http", "0 to 65535")]
    [InlineData("management-port", "70000", "0 to 65535")]
    [InlineData("akka-management-port", "yes", "0 to 65535 or off")]
    [InlineData("bind", "0.0.0.0", "not 0.0.0.0")]
    [InlineData("bind", "::", "not 0.0.0.0")]
    [InlineData("bind", "example.org", "IP address")]
    [InlineData("run-dir", "/tmp/a\"b", "without quotes")]
    [InlineData("copier-call-timeout", "1ms", "100ms to 10m")]
    [InlineData("seed", "127.0.0.1", "HOST:PORT")]
    [InlineData("seed", "127.0.0.1:0", "1 to 65535")]
    [InlineData("seed", "a b:1", "HOST:PORT")]
    [InlineData("allow-insecure-remoting", "maybe", "true or false")]
    [InlineData("join-timeout", "10ms", "0, or 1s to 1h")]
    [InlineData("management-ask-timeout", "2", "50ms to 1m")]
    [InlineData("decision-deadline", "2h", "50ms to 1m")]
    [InlineData("worker-deadline", "2s", "decision-deadline")]
    [InlineData("reopen-window", "1ms", "0, or 1s to 1h")]
    [InlineData("session-lease", "-1s", "1s to 1h")]
    [InlineData("revoke-deadline", "soon", "10ms to 1m")]
    [InlineData("register-interval", "0", "50ms to 1m")]
    [InlineData("housekeeping-interval", "1d", "50ms to 1m")]
    [InlineData("kept-decay", "99ms", "0, or 100ms to 1h")]
    [InlineData("max-kept-per-pool", "-1", "unlimited")]
    [InlineData("trace-share", "1.5", "0 to 1")]
    [InlineData("max-extent-share", "0", "above 0, up to 1")]
    [InlineData("max-extent-share", "1.1", "above 0, up to 1")]
    [InlineData("max-waiting-requests-per-pool", "0", "1 to 1000000")]
    public void Read_ValueNotAllowed_NamesKeyValueAndRange(string key, string value, string allowed)
    {
        var error = Assert.Single(ReadErrors($"--{key}={value}"));
        Assert.StartsWith($"{key}: '{value}' (command line)", error, StringComparison.Ordinal);
        Assert.Contains(allowed, error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
    }

    [Theory]
    [InlineData("--prot 1", "--prot (command line) is no setting")]
    [InlineData("--Port 1", "--Port (command line) is no setting")]
    [InlineData("--port", "--port (command line) needs a value: --port PORT")]
    [InlineData("--port --bind 127.0.0.1", "--port (command line) needs a value")]
    [InlineData("--port 1 --port 2", "--port (command line) is given twice, as '1' and '2'")]
    [InlineData("run", "'run' (command line) is not expected here")]
    [InlineData("--bind 10.0.0.1", "bind: '10.0.0.1' (command line) isn't loopback, and mutual TLS isn't set up")]
    [InlineData("--port 5000 --management-port 5000", "management-port: '5000' (command line) is also the port of Akka.Remote")]
    [InlineData("--port 8558", "management-port: the default is also the port of Akka.Remote")]
    [InlineData("--akka-management-port 8558", "akka-management-port: '8558' (command line) is already the port")]
    [InlineData("--backend cuda --gpu none", "backend: 'cuda' (command line) needs a GPU")]
    [InlineData("--backend host --gpu 0", "backend: 'host' (command line) lends main memory, but gpu names a GPU")]
    [InlineData("--config /nowhere/at/all.conf", "config '/nowhere/at/all.conf' can't be read")]
    public void Read_CommandLineMakesNoSense_SaysWhatAndWhy(string line, string expected)
    {
        var error = Assert.Single(ReadErrors(line.Split(' ')));
        Assert.StartsWith(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_SeveralErrors_ReportsAllOfThem() => Assert.Equal(3, ReadErrors("--port", "x", "--hosts", "0", "--what").Count);

    [Fact]
    public void Read_InsecureRemotingAllowed_TakesAnyAddress() =>
        Assert.Equal("10.0.0.1", Read("--bind", "10.0.0.1", "--allow-insecure-remoting").Ranks.BindAddress);

    [Fact]
    public void Merge_SameSettingInAllSources_TheStrongestWins()
    {
        using var file = new TemporaryFile("kvcached { hosts = 2, domain = file, port = 2, management-port = 7 }\nakka.loglevel = DEBUG");
        var appSettings = Section(("Hosts", "1"), ("Domain", "app"), ("Port", "1"), ("Seed:0", "a:1"), ("Seed:1", "b:2"));
        var environment = new Dictionary<string, string> { ["KVCACHED_HOSTS"] = "3", ["KVCACHED_DOMAIN"] = "env", ["KVCACHED_URL"] = "http://elsewhere" };
        var commandLine = CommandLine.Parse(["--hosts", "4", "--config", file.Path]);

        var values = SettingSources.Merge(commandLine, environment, appSettings, out var userConfig);
        var (options, errors) = HostOptionsReader.Read(values);

        Assert.Empty(errors);
        Assert.Equal(4, options.Ranks.ExpectedHosts);
        Assert.Equal("env", options.Ranks.Domain);
        Assert.Equal(2, options.Ranks.Port);
        Assert.Equal(["a:1", "b:2"], options.Ranks.SeedHosts);
        Assert.Equal("DEBUG", userConfig.GetString("akka.loglevel"));
    }

    [Theory]
    [InlineData("kvcached { prot = 1 }", "prot (")]
    [InlineData("kvcached { port = [1, 2] }", "port (")]
    [InlineData("kvcached {\n port = 1", "config '")]
    [InlineData("kvcached { port = }}", "config '")]
    [InlineData("kvcached { seed = [1 }", "config '")]
    [InlineData("kvcached { domain = \"x }", "config '")]
    [InlineData("kvcached { port { a = 1 } }", "port: '")]
    [InlineData("include \"nowhere.conf\"", "config '")]
    public void Merge_FileIsWrong_SaysSoAndNamesTheFile(string content, string expected)
    {
        using var file = new TemporaryFile(content);
        var values = SettingSources.Merge(CommandLine.Parse(["--config", file.Path]), new Dictionary<string, string>(), Section(), out _);
        var error = Assert.Single(HostOptionsReader.Read(values).Errors);
        Assert.StartsWith(expected, error, StringComparison.Ordinal);
        Assert.Contains(file.Path, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Merge_AppSettingsHaveAnUnknownName_SaysSo()
    {
        var values = SettingSources.Merge(CommandLine.Parse([]), new Dictionary<string, string>(), Section(("Prot", "1")), out _);
        Assert.StartsWith("Prot (appsettings) is no setting", Assert.Single(values.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void Help_ListsEverySettingAndExitCode()
    {
        var help = HelpText.Build();
        Assert.All(HostSettingCatalog.All, setting => Assert.Contains($"--{setting.Key}", help, StringComparison.Ordinal));
        Assert.Contains("another host serves that device", help, StringComparison.Ordinal);
    }

    internal static void AssertSame(KvcachedHostOptions expected, KvcachedHostOptions actual)
    {
        Assert.Equal(expected.Ranks.SeedHosts, actual.Ranks.SeedHosts);
        Assert.Equal(expected.Gateway.AllowedUsers, actual.Gateway.AllowedUsers);
        Assert.Equal(expected.Faults.AsEnumerable(), actual.Faults.AsEnumerable());
        Assert.Equal(expected, actual with
        {
            Faults = expected.Faults,
            Ranks = actual.Ranks with { SeedHosts = expected.Ranks.SeedHosts },
            Gateway = actual.Gateway with { AllowedUsers = expected.Gateway.AllowedUsers },
        });
    }

    private static KvcachedHostOptions Read(params string[] arguments)
    {
        var (options, errors) = ReadAll(arguments);
        Assert.Empty(errors);
        return options;
    }

    private static IReadOnlyList<string> ReadErrors(params string[] arguments) => ReadAll(arguments).Errors;

    private static (KvcachedHostOptions Options, IReadOnlyList<string> Errors) ReadAll(string[] arguments) => HostOptionsReader.Read(
        SettingSources.Merge(CommandLine.Parse(arguments), new Dictionary<string, string>(), Section(), out Config _));

    private static IConfigurationSection Section(params (string Key, string Value)[] values) => new ConfigurationBuilder()
        .AddInMemoryCollection(values.Select(value => KeyValuePair.Create($"{SettingSources.SectionName}:{value.Key}", (string?)value.Value)))
        .Build()
        .GetSection(SettingSources.SectionName);
}
