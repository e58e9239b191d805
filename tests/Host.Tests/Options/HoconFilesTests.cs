using Kvcached.Actors.Hosting;
using Kvcached.Host.Options;
using Microsoft.Extensions.Configuration;

namespace Kvcached.Host.Tests.Options;

/// <summary>The HOCON files beside the host say what the code does.</summary>
public sealed class HoconFilesTests
{
    public static TheoryData<string> Examples() => ["single-node", "domain", "multi-node", "reference"];

    [Fact]
    public void Reference_Has_EveryKeyAndNoOther()
    {
        var keys = KvcachedHocon.Load("reference").GetConfig(SettingSources.HoconSection).AsEnumerable().Select(entry => entry.Key);
        Assert.Equal(
            HostSettingCatalog.All.Select(setting => setting.Key).Where(key => key != HostSettingCatalog.ConfigFile).Order(StringComparer.Ordinal),
            keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Reference_Says_TheDefaultsOfTheOptions() =>
        HostOptionsReaderTests.AssertSame(new KvcachedHostOptions(), Read(BesideTheHost("reference")));

    [Fact]
    public void Reference_ExplainsEveryKey()
    {
        var lines = File.ReadAllLines(BesideTheHost("reference"));
        var isSetting = HostSettingCatalog.All.Select(setting => setting.Key).ToHashSet(StringComparer.Ordinal);
        var explained = lines.Zip(lines.Skip(1))
            .Where(pair => pair.First.TrimStart().StartsWith('#') && isSetting.Contains(pair.Second.Split('=')[0].Trim()))
            .Select(pair => pair.Second.Split('=')[0].Trim());
        Assert.Equal(isSetting.Count - 1, explained.Distinct().Count());
    }

    [Theory]
    [MemberData(nameof(Examples))]
    public void Example_BesideTheHost_IsTheOneBuiltIn(string name) =>
        Assert.Equal(KvcachedHocon.Load(name).ToString(), KvcachedHocon.LoadFile(BesideTheHost(name)).ToString());

    [Fact]
    public void Domain_IsReadyToRun()
    {
        var options = Read(BesideTheHost("domain"));
        Assert.Equal(2, options.Ranks.ExpectedHosts);
        Assert.Equal([$"127.0.0.1:{new KvcachedHostOptions().Ranks.Port}"], options.Ranks.SeedHosts);
    }

    [Fact]
    public void MultiNode_AsksForAMajority_AndKeepsTheOtherSettings()
    {
        var config = KvcachedHocon.LoadFile(BesideTheHost("multi-node")).WithFallback(KvcachedHocon.LoadDefaults());
        Assert.Equal("keep-majority", config.GetString("akka.cluster.split-brain-resolver.active-strategy"));
        Assert.Equal(TimeSpan.FromSeconds(4), config.GetTimeSpan("akka.cluster.failure-detector.acceptable-heartbeat-pause"));
        Assert.Equal(TimeSpan.FromMilliseconds(250), config.GetTimeSpan("akka.cluster.failure-detector.heartbeat-interval"));
    }

    [Fact]
    public void Defaults_Hold_TheMeasuredSettings()
    {
        var config = KvcachedHocon.LoadDefaults();
        Assert.False(config.GetBoolean("akka.remote.dot-netty.tcp.batching.enabled", true));
        Assert.Equal(1, config.GetInt("akka.remote.dot-netty.tcp.server-socket-worker-pool.pool-size-max"));
        Assert.Equal("lease-majority", config.GetString("akka.cluster.split-brain-resolver.active-strategy"));
        Assert.Equal("PinnedDispatcher", config.GetString(KvcachedHocon.DataCheckDispatcher + ".type"));
        Assert.Equal(TimeSpan.FromMilliseconds(1), config.GetTimeSpan(KvcachedHocon.GpuPinnedDispatcher + ".spin"));
        Assert.NotNull(config.GetConfig("akka.actor.serialization-bindings"));
    }

    [Fact]
    public void Load_NoSuchFile_NamesThoseThatAre()
    {
        var exception = Assert.Throws<ArgumentException>(() => KvcachedHocon.Load("nothing"));
        Assert.Contains("cluster, dispatchers", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LoadFile_Includes_FilesBesideItAndBuiltInOnes()
    {
        using var inner = new TemporaryFile("a = 1");
        using var outer = new TemporaryFile($"include \"{Path.GetFileName(inner.Path)}\"\ninclude \"dispatchers\"\nb = 2");
        var config = KvcachedHocon.LoadFile(outer.Path);
        Assert.Equal(1, config.GetInt("a"));
        Assert.Equal(2, config.GetInt("b"));
        Assert.Equal("PinnedDispatcher", config.GetString(KvcachedHocon.DataCheckDispatcher + ".type"));
    }

    [Fact]
    public void LoadFile_IncludesItself_IsRefused()
    {
        using var file = new TemporaryFile(string.Empty);
        File.WriteAllText(file.Path, $"include \"{Path.GetFileName(file.Path)}\"");
        Assert.Contains("include itself", Assert.Throws<FormatException>(() => KvcachedHocon.LoadFile(file.Path)).Message, StringComparison.Ordinal);
    }

    private static string BesideTheHost(string name) => Path.Combine(AppContext.BaseDirectory, "hocon", name + ".conf");

    private static KvcachedHostOptions Read(string path)
    {
        var (options, errors) = HostOptionsReader.Read(SettingSources.Merge(
            CommandLine.Parse(["--config", path]), new Dictionary<string, string>(), new ConfigurationBuilder().Build(), out _));
        Assert.Empty(errors);
        return options;
    }
}
