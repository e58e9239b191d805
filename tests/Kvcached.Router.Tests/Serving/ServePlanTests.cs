using Kvcached.Cli;
using Kvcached.Cli.Serving;
using Kvcached.Router.Configuration;

namespace Kvcached.Router.Tests.Serving;

public sealed class ServePlanTests
{
    private const string Text = """
        hosts:
          - name: gpu0
            arguments: ["--gpu", "0"]
        router:
          arguments: ["--listen", "127.0.0.1:0"]
        models:
          - name: conv
            maxInFlight: 7
            sleep: {engine: kvcached, after: 5m}
            launch:
              - command: [engine, "--model", "{model}", "--socket", "{socket}", "--port", "{port}"]
              - command: [engine, "{port}"]
          - name: code
            replicas: ["http://127.0.0.1:9"]
        """;

    [Fact]
    public void Parse_AllThereIs_PlannedInOrder()
    {
        var plan = ServePlan.Parse(Text, "models.yaml");
        Assert.Equal(["conv-0", "conv-1"], plan.Engines.Select(engine => engine.Name));
        Assert.Equal(["engine", "--model", "conv", "--socket", "/s", "--port", "81"], plan.Engines[0].CommandFor(81, "/s"));
        Assert.Equal(["--gpu", "0"], Assert.Single(plan.Hosts).Arguments);
        Assert.Equal(["--listen", "127.0.0.1:0"], plan.RouterArguments);
    }

    [Fact]
    public void RouterFile_OfAPlan_IsOneThatTheRouterTakes()
    {
        var plan = ServePlan.Parse(Text, "models.yaml");
        var read = ModelsFileReader.Read(plan.RouterFile(new Dictionary<EnginePlan, int> { [plan.Engines[0]] = 81, [plan.Engines[1]] = 82 }), "router.yaml");
        Assert.Empty(read.Errors);
        Assert.Equal(["http://127.0.0.1:81/", "http://127.0.0.1:82/"], read.Models[0].Replicas.Select(address => address.AbsoluteUri));
        Assert.Equal(["http://127.0.0.1:9/"], read.Models[1].Replicas.Select(address => address.AbsoluteUri));
        Assert.Equal((7, TimeSpan.FromMinutes(5)), (read.Models[0].MaxInFlight, read.Models[0].Sleep.IdleAfter));
    }

    [Theory]
    [InlineData("models: []", "names no models")]
    [InlineData("models: [{name: a, launch: [{}]}]", "needs a 'command'")]
    [InlineData("models: [{name: a, launch: [{command: [x]}]}]", "{port} is in none")]
    [InlineData("models: [{name: a, launch: [{command: [x, \"{port}\", \"{socket}\"]}]}]", "there are no 'hosts'")]
    [InlineData("hosts: [{name: h}]\nmodels: [{name: a, launch: [{host: g, command: [x, \"{port}\"]}]}]", "no host is called 'g'")]
    [InlineData("hosts: [{name: h}, {name: h}]\nmodels: [{name: a}]", "a name of its own")]
    [InlineData("models: [{launch: [{command: [x, \"{port}\"]}]}]", "has no name")]
    [InlineData("models: {", "models.yaml, line 1")]
    public void Parse_Mistake_SaysWhatIsWrong(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<UsageException>(() => ServePlan.Parse(text, "models.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void RestartPolicy_ShortLives_EverLongerPausesThenGivenUp()
    {
        var policy = new RestartPolicy();
        var pauses = Enumerable.Range(0, RestartPolicy.MaxShortLives + 1).Select(_ => policy.AfterEnd(TimeSpan.Zero)).ToArray();
        Assert.Equal(TimeSpan.Zero, pauses[0]);
        Assert.Equal(pauses[..^1].Order(), pauses[..^1]);
        Assert.Null(pauses[^1]);
    }

    [Fact]
    public void RestartPolicy_OneLongLife_StartsAnew()
    {
        var policy = new RestartPolicy();
        Assert.All(Enumerable.Range(0, 100), _ => Assert.Equal(TimeSpan.Zero, policy.AfterEnd(RestartPolicy.LongLife)));
        Assert.Equal(TimeSpan.Zero, policy.AfterEnd(TimeSpan.Zero));
        Assert.True(policy.AfterEnd(TimeSpan.Zero) > TimeSpan.Zero);
    }
}
