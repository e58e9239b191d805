using Kvcached.Host.Options;
using Kvcached.Host.Tests.Options;
using Microsoft.Extensions.Configuration;

namespace Kvcached.Host.Tests.Deployment;

/// <summary>Reads what a deployment tells a host as the host would.</summary>
internal static class HostSettingsIn
{
    /// <summary>The options, all of which the host must accept.</summary>
    /// <param name="arguments">The command line, without <c>--config</c>.</param>
    /// <param name="hocon">What the file of <c>--config</c> holds.</param>
    /// <param name="environment">Lines such as <c>KVCACHED_PORT=8551</c>.</param>
    public static KvcachedHostOptions Read(IReadOnlyList<string> arguments, string hocon, IEnumerable<string> environment)
    {
        using var file = new TemporaryFile(hocon);
        var variables = environment.Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        Assert.All(variables.Keys, name => Assert.Contains(HostSettingCatalog.All, setting => setting.EnvironmentName == name));
        var (options, errors) = HostOptionsReader.Read(SettingSources.Merge(
            CommandLine.Parse([.. arguments, "--config", file.Path]), variables, new ConfigurationBuilder().Build(), out _));
        Assert.Empty(errors);
        return options;
    }

    /// <summary>The command line of a host without <c>--config</c>, and the file that it names.</summary>
    public static (IReadOnlyList<string> Arguments, string ConfigFile) SplitConfig(IReadOnlyList<string> arguments)
    {
        var at = arguments.ToList().IndexOf("--config");
        Assert.True(at >= 0 && at + 1 < arguments.Count, $"no --config in {string.Join(' ', arguments)}");
        return ([.. arguments.Take(at), .. arguments.Skip(at + 2)], arguments[at + 1]);
    }

    /// <summary>Lines that are neither empty nor a comment.</summary>
    public static IEnumerable<string> LinesOf(string text) =>
        text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && !line.StartsWith('#'));
}
