using System.Collections;
using Akka.Configuration;
using Akka.Configuration.Hocon;
using Kvcached.Actors.Hosting;

namespace Kvcached.Host.Options;

/// <summary>The sources of settings other than the command line.</summary>
internal static class SettingSources
{
    /// <summary>Section of <c>appsettings.json</c>.</summary>
    public const string SectionName = "Kvcached";

    /// <summary>Section of a HOCON file.</summary>
    public const string HoconSection = "kvcached";

    // Part of the HOCON section that belongs to Akka, not to the options.
    private const string DispatchersSection = "dispatchers";

    /// <summary>Merges all sources, the weakest first: appsettings, the HOCON file, the environment, the command line.</summary>
    /// <param name="commandLine">The command line.</param>
    /// <param name="environment">The environment.</param>
    /// <param name="appSettings">The section <see cref="SectionName"/>.</param>
    /// <param name="userConfig">The HOCON file that <c>--config</c> names, without our section; empty without one.</param>
    public static SettingValues Merge(CommandLine commandLine, IDictionary environment, IConfiguration appSettings, out Config userConfig)
    {
        var fromEnvironment = ReadEnvironment(environment);
        var merged = new SettingValues();
        merged.AddSource("appsettings", ReadAppSettings(appSettings));

        var configFile = commandLine.Values.Find(HostSettingCatalog.ConfigFile)?.Texts[0]
            ?? fromEnvironment.GetValueOrDefault(HostSettingCatalog.ConfigFile)?[0]
            ?? merged.Find(HostSettingCatalog.ConfigFile)?.Texts[0];
        userConfig = ReadConfigFile(configFile, merged);

        merged.AddSource("environment", fromEnvironment);
        foreach (var setting in HostSettingCatalog.All)
        {
            if (commandLine.Values.Find(setting.Key) is { } value)
            {
                merged.Set(setting.Key, value);
            }
        }

        merged.Errors.InsertRange(0, commandLine.Values.Errors);
        return merged;
    }

    // Variables that are no setting are left alone: kvctl and engines have some of that prefix too.
    private static Dictionary<string, IReadOnlyList<string>> ReadEnvironment(IDictionary environment)
    {
        var values = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        foreach (var setting in HostSettingCatalog.All)
        {
            if (environment[setting.EnvironmentName] is string { Length: > 0 } text)
            {
                values[setting.Key] = setting.IsRepeatable
                    ? text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                    : [text];
            }
        }

        return values;
    }

    private static IEnumerable<KeyValuePair<string, IReadOnlyList<string>>> ReadAppSettings(IConfiguration section)
    {
        foreach (var child in section.GetChildren())
        {
            IReadOnlyList<string> texts = child.Value is { } text
                ? [text]
                : [.. child.GetChildren().Select(item => item.Value ?? string.Empty)];
            yield return KeyValuePair.Create(child.Key, texts);
        }
    }

    private static Config ReadConfigFile(string? path, SettingValues merged)
    {
        if (path is null)
        {
            return Config.Empty;
        }

        try
        {
            var config = KvcachedHocon.LoadFile(path);
            var section = config.GetConfig(HoconSection);
            if (section is { IsEmpty: false })
            {
                merged.AddSource(path, ReadSection(section));
            }

            return config;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException or ArgumentException)
        {
            merged.Errors.Add($"config '{path}' can't be read: {exception.Message.ReplaceLineEndings(" ")}");
            return Config.Empty;
        }
    }

    private static IEnumerable<KeyValuePair<string, IReadOnlyList<string>>> ReadSection(Config section) =>
        from entry in section.AsEnumerable()
        where entry.Key != DispatchersSection
        select KeyValuePair.Create(entry.Key, ReadTexts(entry.Value));

    private static IReadOnlyList<string> ReadTexts(HoconValue value)
    {
        // IsArray says no of an empty one.
        if (value.Values.Any(part => part is HoconArray))
        {
            return [.. value.GetStringList()];
        }

        // An object has no text; shown as it is, so that the message about it makes sense.
        return [value.IsObject() ? value.ToString() : value.GetString() ?? string.Empty];
    }
}
