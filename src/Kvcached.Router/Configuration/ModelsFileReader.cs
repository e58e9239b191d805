using System.Collections.Immutable;
using Kvcached.Router.Models;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Kvcached.Router.Configuration;

/// <summary>Models that may be served, or what is wrong with the file; never both.</summary>
internal sealed record ModelsRead(ImmutableArray<ModelRoute> Models, ImmutableArray<string> Errors);

/// <summary>Reads the file of models. All that is wrong is told at once, each with where it stands and what is allowed.</summary>
internal static class ModelsFileReader
{
    /// <summary>Models that there may be: each has metrics of its own.</summary>
    public const int MaxModels = 256;

    private const int MaxNameLength = 256;
    private const int MaxReplicas = 256;
    private const int MaxFileBytes = 4 << 20;

    /// <summary>Reads a file. One that can't be read has one error.</summary>
    public static ModelsRead ReadFile(string path)
    {
        try
        {
            return new FileInfo(path).Length > MaxFileBytes
                ? Failed($"{path} is larger than {MaxFileBytes >> 20} MiB; name a file of models.")
                : Read(File.ReadAllText(path), path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return Failed($"{path} can't be read: {exception.Message}");
        }
    }

    /// <param name="text">YAML.</param>
    /// <param name="source">What to call it in errors.</param>
    public static ModelsRead Read(string text, string source)
    {
        ModelsFile? file;
        try
        {
            file = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).Build().Deserialize<ModelsFile?>(text);
        }
        catch (YamlException exception)
        {
            return Failed($"{source}, line {exception.Start.Line}: {exception.InnerException?.Message ?? exception.Message}");
        }

        var entries = file?.Models ?? [];
        if (entries.Count is 0 or > MaxModels)
        {
            return Failed($"{source} names {entries.Count} models; 1 to {MaxModels} are allowed, each an entry of the list 'models'.");
        }

        var errors = new List<string>();
        var models = entries.Select((entry, index) => ReadModel(entry, new EntryReader($"{source}, model {index + 1}", errors))).ToImmutableArray();
        foreach (var twice in models.SelectMany(model => model.Aliases.Prepend(model.Name)).GroupBy(name => name, StringComparer.Ordinal).Where(group => group.Count() > 1))
        {
            errors.Add($"{source} gives the name '{twice.Key}' {twice.Count()} times; names and aliases stand for one model each.");
        }

        return errors.Count == 0 ? new ModelsRead(models, []) : new ModelsRead([], [.. errors]);
    }

    private static ModelRoute ReadModel(ModelEntry? entry, EntryReader read)
    {
        entry ??= new ModelEntry();
        var name = read.Name("name", entry.Name, MaxNameLength);
        return new ModelRoute(
            name,
            [.. (entry.Aliases ?? []).Select(alias => read.Name("aliases", alias, MaxNameLength))],
            read.Addresses("replicas", entry.Replicas ?? [], MaxReplicas),
            read.Number("maxInFlight", entry.MaxInFlight, 1, 1_000_000),
            read.Number("maxQueued", entry.MaxQueued, 0, 1_000_000),
            read.Time("queueDeadline", entry.QueueDeadline, TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1)),
            read.Time("activityTimeout", entry.ActivityTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromHours(24)),
            read.Path("healthPath", entry.HealthPath),
            SleepReader.Read(entry.Sleep, read));
    }

    private static ModelsRead Failed(string error) => new([], [error]);
}
