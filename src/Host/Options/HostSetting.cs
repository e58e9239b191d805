namespace Kvcached.Host.Options;

/// <summary>One setting of the host, with one name everywhere.</summary>
/// <param name="Key">Its name: <c>--management-port</c>, <c>KVCACHED_MANAGEMENT_PORT</c>, <c>Kvcached:ManagementPort</c>, <c>kvcached.management-port</c>.</param>
/// <param name="Placeholder">What stands for its value in the help text; empty for a switch, which needs none.</param>
/// <param name="Help">What it does, its unit, range and default.</param>
/// <param name="IsRepeatable">True when it may be given several times.</param>
internal sealed record HostSetting(string Key, string Placeholder, string Help, bool IsRepeatable = false)
{
    /// <summary>Prefix of environment variables.</summary>
    public const string EnvironmentPrefix = "KVCACHED_";

    public bool IsSwitch => Placeholder.Length == 0;

    public string EnvironmentName => EnvironmentPrefix + Key.ToUpperInvariant().Replace('-', '_');
}
