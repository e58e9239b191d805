using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Management;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Cli;

/// <summary><c>kvctl</c> as a process, against a real host.</summary>
public sealed class KvctlTests(SingleHostFixture fixture) : IClassFixture<SingleHostFixture>
{
    private string Url => fixture.Host.Http.BaseAddress!.ToString();

    [Theory]
    [InlineData("list", "domain default, epoch ")]
    [InlineData("gpus", "HOST-0")]
    [InlineData("cluster", "leader, oldest")]
    public async Task Command_AgainstAHost_PrintsATable(string command, string expected)
    {
        await fixture.Host.GetUntilAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, view => view.Length > 0);
        var (code, output, errors) = await RunAsync(null, command, "--url", Url);
        Assert.Equal((0, string.Empty), (code, errors));
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Command_Json_PrintsWhatTheHostAnswered()
    {
        var (code, output, _) = await RunAsync(null, "cluster", "--json", "--url", Url);
        Assert.Equal(0, code);
        var view = JsonSerializer.Deserialize(output, ManagementJsonContext.Default.ClusterMembersView)!;
        Assert.Equal($"akka.tcp://kvcached@127.0.0.1:{fixture.Host.Ready.Port}", view.SelfNode);
    }

    [Fact]
    public async Task Command_UrlInTheEnvironment_IsAsked() => Assert.Equal(0, (await RunAsync(Url, "cluster")).Code);

    [Theory]
    [InlineData(2, "--url 'nonsense' is no address", "list", "--url", "nonsense")]
    [InlineData(2, "--help", "list", "--nonsense")]
    [InlineData(2, "--help", "nonsense")]
    [InlineData(3, "no host answers at http://127.0.0.1:1/", "list", "--url", "http://127.0.0.1:1")]
    public async Task Command_CannotBeDone_SaysWhyInOneLine(int expectedCode, string expected, params string[] arguments)
    {
        var (code, output, errors) = await RunAsync(null, arguments);
        Assert.Equal(expectedCode, code);
        Assert.Equal(string.Empty, output);
        Assert.StartsWith("kvctl: ", errors, StringComparison.Ordinal);
        Assert.Contains(expected, errors, StringComparison.Ordinal);
        Assert.Single(errors.Trim().Split('\n'));
    }

    [Fact]
    public async Task Command_AgainstSomethingElse_SaysThatItIsNoHost()
    {
        // Akka.Management's port answers 404 without a body.
        var (code, _, errors) = await RunAsync(null, "list", "--url", $"http://127.0.0.1:{fixture.Host.Ready.AkkaManagementPort}");
        Assert.Equal(4, code);
        Assert.Contains("answered 404", errors, StringComparison.Ordinal);
    }

    private static Task<(int Code, string Output, string Errors)> RunAsync(string? url, params string[] arguments) =>
        Kvctl.RunAsync(new Dictionary<string, string> { ["KVCACHED_URL"] = url ?? string.Empty }, arguments);
}
