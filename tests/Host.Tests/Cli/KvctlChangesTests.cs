using System.Text.Json;
using Kvcached.Core.Contracts;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Cli;

/// <summary>Commands of <c>kvctl</c> that change something or look closer, against a real host with a pool.</summary>
public sealed class KvctlChangesTests(HostWithPool fixture) : IClassFixture<HostWithPool>
{
    private string Url => fixture.Host.Http.BaseAddress!.ToString();

    [Fact]
    public async Task Limit_SizePercentAndAlias_AreInForce()
    {
        var (code, output, errors) = await RunAsync("limit", "conv", "32mb", "--floor", "4_096kb", "--weight", "2");
        Assert.Equal((0, string.Empty), (code, errors));
        Assert.StartsWith("conv: applied, revision ", output, StringComparison.Ordinal);
        Assert.Contains("of 32 MiB, floor 4 MiB", output, StringComparison.Ordinal);

        (code, output, _) = await RunAsync("limit-percent", "conv", "25", "--json");
        Assert.Equal(0, code);
        var outcome = JsonSerializer.Deserialize(output, ManagementJsonContext.Default.LimitOutcomeView)!;
        Assert.Equal(("25%", fixture.Host.Ready.CapacityBytes / 4), (outcome.Limit, outcome.OnGpus[0].LimitBytes));

        (code, output, _) = await RunAsync("limit", "conv", "8MiB", "--gpus", "HOST-0");
        Assert.Equal(0, code);
        Assert.Contains("HOST-0 holds 0 B of 8 MiB", output, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("limit", "conv", "default", "--gpus", "HOST-0")).Code);

        (code, output, _) = await RunAsync("limit", "conv", "default", "--floor", "default", "--weight", "default");
        Assert.Equal(0, code);
        Assert.Contains("of 64 MiB, floor 0 B", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Drain_AndUndo_SayWhatTheyDid()
    {
        var (code, output, errors) = await RunAsync("drain", "HOST");
        Assert.Equal((0, string.Empty), (code, errors));
        Assert.Contains("HOST-0 is drained: its host may be stopped.", output, StringComparison.Ordinal);
        Assert.Contains("conv: 0 B, kept by its workers meanwhile", output, StringComparison.Ordinal);
        Assert.Contains("draining", (await RunAsync("gpus")).Output, StringComparison.Ordinal);

        (code, output, _) = await RunAsync("drain", "HOST-0", "--undo", "--json");
        Assert.Equal(0, code);
        Assert.False(JsonSerializer.Deserialize(output, ManagementJsonContext.Default.DrainView)!.IsDraining);
    }

    [Theory]
    [InlineData(2, "nothing is to be changed", "limit", "conv")]
    [InlineData(2, "'much' is no amount", "limit", "conv", "much")]
    [InlineData(2, "'101%' is no amount", "limit-percent", "conv", "101")]
    [InlineData(2, "--weight '0' is not allowed", "limit", "conv", "--weight", "0")]
    [InlineData(2, "can't be read from /nowhere", "limit", "conv", "1g", "--token-file", "/nowhere")]
    [InlineData(4, "No such pool", "limit", "other", "1g")]
    [InlineData(4, "That can't be laid down", "limit", "conv", "1m", "--floor", "2m")]
    [InlineData(2, "'50%' is not allowed", "trim", "conv", "50%")]
    [InlineData(4, "No such GPU", "drain", "GPU-7")]
    [InlineData(4, "No such GPU: 'GPU-7' names 0 GPUs of pool 'conv'", "limit", "conv", "1g", "--gpus", "GPU-7")]
    [InlineData(4, "A weight is the same on all GPUs", "limit", "conv", "1g", "--gpus", "HOST-0", "--weight", "2")]
    [InlineData(2, "--wait '-1' is not allowed", "drain", "HOST-0", "--wait", "-1")]
    [InlineData(2, "there is no completion for 'csh'", "completion", "csh")]
    [InlineData(2, "can't be read", "plan", "/nowhere.yaml")]
    public async Task Command_ThatCannotBeDone_SaysWhyInOneLine(int expectedCode, string expected, params string[] arguments)
    {
        var (code, output, errors) = await RunAsync(arguments);
        Assert.Equal((expectedCode, string.Empty), (code, output));
        Assert.Contains(expected, errors, StringComparison.Ordinal);
        Assert.Single(errors.Trim().Split('\n'));
    }

    [Theory]
    [InlineData(0, "nothing is unused beyond its floor", "trim", "conv")]
    [InlineData(0, "conv", "top")]
    [InlineData(0, "[----------------------------------------]", "kvtop", "--once")]
    [InlineData(0, "held or promised", "explain")]
    [InlineData(0, "pool-opened", "watch", "conv", "--count", "1")]
    [InlineData(0, "\"kind\":\"coordinator-started\"", "watch", "--count", "1", "--json")]
    [InlineData(0, "'default' is complete", "doctor")]
    [InlineData(0, "conv", "names")]
    [InlineData(0, "HOST-0", "names", "--gpus")]
    public async Task Command_AgainstAHostWithAPool_Prints(int expectedCode, string expected, params string[] arguments)
    {
        await fixture.Host.GetUntilAsync("/ready", ManagementJsonContext.Default.HealthView, health => health.Status == "ready");
        var (code, output, errors) = await RunAsync(arguments);
        Assert.True(expectedCode == code, output + errors);
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bash", "complete -F _kvctl kvctl")]
    [InlineData("zsh", "bashcompinit")]
    [InlineData("fish", "complete -c kvctl")]
    public async Task Completion_OfAShell_NamesEveryCommand(string shell, string expected)
    {
        var (code, output, _) = await Kvctl.RunAsync(new Dictionary<string, string>(), "completion", shell);
        Assert.Equal(0, code);
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.Contains("limit-percent trim drain top watch", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10GiB", 0, "It fits.")]
    [InlineData("40GiB", 6, "the floor of chat, 40 GiB, doesn't fit (FloorsExceedCapacity)")]
    public async Task Plan_FloorsOfTwoModels_FitOrDoNot(string floor, int expectedCode, string expected)
    {
        var path = Path.Combine(fixture.RunDirectory, $"plan-{floor}.yaml");
        await File.WriteAllTextAsync(path, $"""
            gpus:
              - name: gpu0
                memory: 80GiB
                headroom: 4GiB
            models:
              - name: code
                gpus: [gpu0]
                weights: 16GiB
                floor: 25%
              - name: chat
                gpus: [gpu0]
                weights: 14GiB
                floor: {floor}
                weight: 3
            """);
        var (code, output, _) = await Kvctl.RunAsync(new Dictionary<string, string>(), "plan", path);
        Assert.Equal(expectedCode, code);
        Assert.Contains("for pools 46 GiB", output, StringComparison.Ordinal);
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    private Task<(int Code, string Output, string Errors)> RunAsync(params string[] arguments) => Kvctl.RunAsync(
        new Dictionary<string, string>
        {
            ["KVCACHED_URL"] = Url, ["XDG_RUNTIME_DIR"] = Path.GetDirectoryName(fixture.RunDirectory)!, ["KVCACHED_TOKEN_FILE"] = string.Empty,
        },
        arguments);
}
