using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Kvcached.Cli.Serving;

/// <summary>An engine to start.</summary>
/// <param name="Name">For messages and its log.</param>
/// <param name="Model">Its model.</param>
/// <param name="Launch">How.</param>
/// <param name="HealthPath">What it answers with 200 while it is well.</param>
internal sealed record EnginePlan(string Name, string Model, LaunchEntry Launch, string HealthPath)
{
    /// <summary>Program and arguments, with what the placeholders stand for.</summary>
    public IReadOnlyList<string> CommandFor(int port, string? socket) =>
    [
        .. Launch.Command.Select(part => part
            .Replace("{model}", Model, StringComparison.Ordinal)
            .Replace("{port}", port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
            .Replace("{socket}", socket, StringComparison.Ordinal)),
    ];
}

/// <summary>What is to be started: hosts, then engines, then the router.</summary>
internal sealed record ServePlan(IReadOnlyList<HostEntry> Hosts, IReadOnlyList<EnginePlan> Engines, IReadOnlyList<string> RouterArguments, string Text)
{
    private const string SocketPlace = "{socket}";

    /// <exception cref="UsageException">The file can't be read, or makes no sense.</exception>
    public static ServePlan Read(string path)
    {
        try
        {
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{path} can't be read: {exception.Message}");
        }
    }

    /// <param name="text">YAML.</param>
    /// <param name="source">What to call it in messages.</param>
    /// <exception cref="UsageException">It makes no sense.</exception>
    public static ServePlan Parse(string text, string source)
    {
        ServeFile? file;
        try
        {
            // What the router reads isn't named here; the router says what is wrong with it.
            file = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).IgnoreUnmatchedProperties().Build().Deserialize<ServeFile?>(text);
        }
        catch (YamlException exception)
        {
            throw new UsageException($"{source}, line {exception.Start.Line}: {exception.InnerException?.Message ?? exception.Message}");
        }

        if (file is not { Models.Count: > 0 })
        {
            throw new UsageException($"{source} names no models.");
        }

        var engines = new List<EnginePlan>();
        foreach (var model in file.Models)
        {
            foreach (var (launch, index) in (model?.Launch ?? []).Select((launch, index) => (launch, index)))
            {
                Check(model!, launch, file, source);
                engines.Add(new EnginePlan(string.Create(CultureInfo.InvariantCulture, $"{model!.Name}-{index}"), model.Name, launch, model.HealthPath));
            }
        }

        var twice = (file.Hosts ?? []).GroupBy(host => host?.Name ?? string.Empty, StringComparer.Ordinal).FirstOrDefault(group => group.Key.Length == 0 || group.Count() > 1);
        return twice is null
            ? new ServePlan(file.Hosts ?? [], engines, file.Router?.Arguments ?? [], text)
            : throw new UsageException($"{source}: each of the hosts needs a name of its own; '{twice.Key}' is none.");
    }

    /// <summary>The file for the router: as it is, with the addresses of engines that were started for it.</summary>
    /// <param name="portOf">Port of each engine.</param>
    public string RouterFile(IReadOnlyDictionary<EnginePlan, int> portOf)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(Text));
        var root = (YamlMappingNode)stream.Documents[0].RootNode;
        foreach (var model in ((YamlSequenceNode)root.Children[new YamlScalarNode("models")]).Children.OfType<YamlMappingNode>())
        {
            var name = ((YamlScalarNode)model.Children[new YamlScalarNode("name")]).Value;
            var ports = Engines.Where(engine => engine.Model == name).Select(engine => portOf[engine]).ToArray();
            if (ports.Length > 0)
            {
                model.Children.Remove(new YamlScalarNode("launch"));
                model.Children[new YamlScalarNode("replicas")] = new YamlSequenceNode(
                    ports.Select(port => new YamlScalarNode(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")) { Style = ScalarStyle.DoubleQuoted }));
            }
        }

        using var text = new StringWriter(CultureInfo.InvariantCulture);
        stream.Save(text, assignAnchors: false);
        return text.ToString();
    }

    private static void Check(ServedModelEntry model, LaunchEntry? launch, ServeFile file, string source)
    {
        if (string.IsNullOrWhiteSpace(model.Name))
        {
            throw new UsageException($"{source}: a model with 'launch' has no name.");
        }

        if (launch?.Command is not { Count: > 0 } command || command.Any(part => part is null) || !(launch.ReadySeconds > 0 && launch.ReadySeconds <= 86400))
        {
            throw new UsageException($"{source}, model {model.Name}: each entry of 'launch' needs a 'command', a list of texts, and 'readySeconds' from 0 to 86400.");
        }

        if (!command.Concat(launch.Environment.Values).Any(part => part.Contains("{port}", StringComparison.Ordinal)))
        {
            throw new UsageException($"{source}, model {model.Name}: {{port}} is in none of the texts of 'command' and 'environment', so that the engine can't be told its port.");
        }

        var hosts = file.Hosts ?? [];
        if (launch.Host is { } host && !hosts.Any(known => known?.Name == host))
        {
            throw new UsageException($"{source}, model {model.Name}: no host is called '{host}'.");
        }

        if (hosts.Count == 0 && command.Concat(launch.Environment.Values).Any(part => part.Contains(SocketPlace, StringComparison.Ordinal)))
        {
            throw new UsageException($"{source}, model {model.Name}: {SocketPlace} stands for a host's engine socket, and there are no 'hosts'.");
        }
    }
}
