using Kvcached.Host.Options;
using Kvcached.Host.Tests.Support;
using YamlDotNet.RepresentationModel;

namespace Kvcached.Host.Tests.Deployment;

/// <summary>The manifest in <c>samples/kubernetes</c> fits together, and tells hosts what they understand.</summary>
public sealed class KubernetesTests
{
    private const string RunDirectory = "/run/kvcached";

    private readonly Dictionary<string, YamlNode> _objects = [];

    public KubernetesTests()
    {
        var manifest = new YamlStream();
        manifest.Load(new StringReader(RepositoryFiles.Read("samples", "kubernetes", "kvcached.yaml")));
        foreach (var found in manifest.Documents.Select(document => document.RootNode))
        {
            _objects.Add($"{found["kind"]}/{found["metadata"]["name"]}", found);
        }
    }

    private YamlNode Pod => _objects["DaemonSet/kvcached"]["spec"]["template"]["spec"];

    private IEnumerable<YamlNode> Hosts => ListOf(Pod, "containers");

    [Fact]
    public void Manifest_Has_WhatItNames_InOneNamespace()
    {
        Assert.Equal(["ConfigMap/kvcached-host", "DaemonSet/kvcached", "Namespace/kvcached", "Secret/kvcached-token"], _objects.Keys.Order(StringComparer.Ordinal));
        Assert.All(_objects.Where(pair => !pair.Key.StartsWith("Namespace", StringComparison.Ordinal)), pair => Assert.Equal("kvcached", Text(pair.Value["metadata"]["namespace"])));
        Assert.Equal(_objects["DaemonSet/kvcached"]["spec"]["selector"]["matchLabels"], _objects["DaemonSet/kvcached"]["spec"]["template"]["metadata"]["labels"]);

        var volumes = ListOf(Pod, "volumes").ToDictionary(volume => Text(volume["name"]));
        Assert.Equal(RunDirectory, Text(volumes["run"]["hostPath"]["path"]));
        Assert.Contains($"ConfigMap/{volumes["config"]["configMap"]["name"]}", _objects.Keys);
        Assert.Contains($"Secret/{volumes["token"]["secret"]["secretName"]}", _objects.Keys);
        Assert.Equal("0400", Text(volumes["token"]["secret"]["defaultMode"]));
        foreach (var mount in Hosts.Concat(ListOf(Pod, "initContainers")).SelectMany(container => ListOf(container, "volumeMounts")))
        {
            Assert.Contains(Text(mount["name"]), volumes.Keys);
        }
    }

    [Fact]
    public void Pod_SeesTheNodesProcessesAndLoopback()
    {
        // Ends of workers are known by their processes, and probes find management on the node's loopback only.
        Assert.Equal("true", Text(Pod["hostPID"]));
        Assert.Equal("true", Text(Pod["hostNetwork"]));
        Assert.Equal("nvidia", Text(Pod["runtimeClassName"]));
        Assert.Equal(["chmod", "0700", RunDirectory], ListOf(Assert.Single(ListOf(Pod, "initContainers")), "command").Select(Text));
    }

    [Fact]
    public void Containers_RunHostsOfOneDomain_WithSettingsThatTheyAccept()
    {
        var options = Hosts.Select(Read).ToArray();
        Assert.Equal(options.Length, options[0].Ranks.ExpectedHosts);
        Assert.Equal([$"127.0.0.1:{options[0].Ranks.Port}"], options[0].Ranks.SeedHosts);
        Assert.Equal(Enumerable.Range(0, options.Length).Select(index => (GpuChoice)new GpuChoice.ByIndex(index)), options.Select(host => host.Gpu));
        Assert.Equal(2 * options.Length, options.SelectMany(host => new[] { host.Ranks.Port, host.ManagementPort }).Distinct().Count());
        Assert.All(options, host => Assert.Equal((RunDirectory, "/etc/kvcached/token/token"), (host.RunDirectory, host.ManagementTokenFile)));
        Assert.InRange(Text(_objects["Secret/kvcached-token"]["stringData"]["token"]).Length, 32, 1024);
    }

    [Fact]
    public void Probes_AskTheHostOfTheirContainer()
    {
        foreach (var host in Hosts)
        {
            var port = Read(host).ManagementPort;
            foreach (var (probe, path) in new[] { ("startupProbe", "/alive"), ("livenessProbe", "/alive"), ("readinessProbe", "/ready") })
            {
                var asked = host[probe]["httpGet"];
                Assert.Equal(("127.0.0.1", $"{port}", path), (Text(asked["host"]), Text(asked["port"]), Text(asked["path"])));
            }

            var open = Assert.Single(ListOf(host, "ports"));
            Assert.Equal(($"{port}", $"{port}", "127.0.0.1"), (Text(open["containerPort"]), Text(open["hostPort"]), Text(open["hostIP"])));
            Assert.InRange(Text(open["name"]).Length, 1, 15); // as long as Kubernetes lets it be
        }
    }

    private KvcachedHostOptions Read(YamlNode container)
    {
        var (arguments, config) = HostSettingsIn.SplitConfig([.. ListOf(container, "args").Select(Text)]);
        var mount = Assert.Single(ListOf(container, "volumeMounts"), mount => Text(mount["mountPath"]) == config);
        return HostSettingsIn.Read(arguments, Text(_objects["ConfigMap/kvcached-host"]["data"][Text(mount["subPath"])]), []);
    }

    private static IEnumerable<YamlNode> ListOf(YamlNode node, string key) => ((YamlSequenceNode)node[key]).Children;

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value!;
}
