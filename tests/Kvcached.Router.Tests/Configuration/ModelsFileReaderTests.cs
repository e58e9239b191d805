using Kvcached.Router.Configuration;
using Kvcached.Router.Models;
using Kvcached.Router.Tests.Support;

namespace Kvcached.Router.Tests.Configuration;

public sealed class ModelsFileReaderTests
{
    [Fact]
    public void Read_AllThereIs_Taken()
    {
        var model = Assert.Single(Routes.Read(
            """
            hosts: {count: 1}
            models:
              - name: conv
                aliases: [chat]
                replicas: ["http://127.0.0.1:8001", "http://127.0.0.1:8002/base"]
                maxInFlight: 7
                maxQueued: 0
                queueDeadline: 1.5s
                activityTimeout: 2m
                healthPath: /v1/health
                launch: {command: [x]}
                sleep:
                  engine: sglang
                  after: 5m
                  minimumAwake: 10s
                  schedule: ["22:00-06:00"]
                  weights: engine-level-2
                  modelPath: /models/x
            """));
        Assert.Equal(("conv", 7, 0, "/v1/health"), (model.Name, model.MaxInFlight, model.MaxQueued, model.HealthPath));
        Assert.Equal((TimeSpan.FromSeconds(1.5), TimeSpan.FromMinutes(2)), (model.QueueDeadline, model.ActivityTimeout));
        Assert.Equal("chat", Assert.Single(model.Aliases));
        Assert.Equal(["http://127.0.0.1:8001/", "http://127.0.0.1:8002/base"], model.Replicas.Select(address => address.AbsoluteUri));
        Assert.Equal((EngineKind.Sglang, WeightsWhileAsleep.EngineLevel2, KvWhileAsleep.Drop), (model.Sleep.Engine, model.Sleep.Weights, model.Sleep.Kv));
        Assert.True(Assert.Single(model.Sleep.Schedule).Contains(new TimeOnly(23, 30)));
    }

    [Fact]
    public void Read_WithoutSleep_NeverSleeps()
    {
        var route = Routes.One();
        Assert.False(route.Sleep.IsPossible);
        Assert.Null(route.Sleep.IdleAfter);
    }

    [Theory]
    [InlineData("models: []", "names 0 models")]
    [InlineData("", "names 0 models")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"]}, {name: b, aliases: [a], replicas: [\"http://h:2\"]}]", "the name 'a' 2 times")]
    [InlineData("models: [{replicas: [\"http://h:1\"]}]", "name ''")]
    [InlineData("models: [null]", "name ''")]
    [InlineData("models: [{name: a}]", "replicas '(0 addresses)'")]
    [InlineData("models: [{name: a, replicas: [\"ftp://h:1\"]}]", "replicas 'ftp://h:1'")]
    [InlineData("models: [{name: a, replicas: [\"http://u:p@h:1\"]}]", "replicas 'http://u:p@h:1'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\", \"http://h:1/\"]}]", "each address once")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], maxInFlight: 0}]", "maxInFlight '0'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], queueDeadline: soon}]", "queueDeadline 'soon'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], healthPath: //evil}]", "healthPath '//evil'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], sleep: {engine: other}}]", "sleep.engine 'other'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], sleep: {engine: vllm, kv: host}}]", "sleep.kv 'host'")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], sleep: {engine: sglang, weights: engine-level-2}}]", "sleep.modelPath")]
    [InlineData("models: [{name: a, replicas: [\"http://h:1\"], sleep: {engine: kvcached, schedule: [\"25:00-1\"]}}]", "sleep.schedule '25:00-1'")]
    [InlineData("models: [{name: a, replicaz: []}]", "models.yaml, line 1")]
    [InlineData("models: {", "models.yaml, line 1")]
    public void Read_Mistake_SaysWhereAndWhatIsAllowed(string yaml, string expected)
    {
        var read = ModelsFileReader.Read(yaml, "models.yaml");
        Assert.Contains(read.Errors, error => error.Contains(expected, StringComparison.Ordinal));
        Assert.Empty(read.Models);
    }

    [Fact]
    public void ReadFile_Missing_SaysSo() => Assert.Contains("can't be read", Assert.Single(ModelsFileReader.ReadFile("/nowhere/models.yaml").Errors), StringComparison.Ordinal);
}
