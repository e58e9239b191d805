namespace Kvcached.Host.Options;

/// <summary>Splits the command line into settings: <c>--key value</c>, <c>--key=value</c>, <c>--switch</c>.</summary>
internal sealed class CommandLine
{
    private const string Source = "command line";

    private CommandLine(bool isHelp, bool isVersion, SettingValues values)
    {
        IsHelp = isHelp;
        IsVersion = isVersion;
        Values = values;
    }

    public bool IsHelp { get; }

    public bool IsVersion { get; }

    public SettingValues Values { get; }

    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        var values = new SettingValues();
        var (isHelp, isVersion) = (false, false);
        for (var index = 0; index < arguments.Count; index++)
        {
            var argument = arguments[index];
            if (argument is "--help" or "-h")
            {
                isHelp = true;
            }
            else if (argument is "--version")
            {
                isVersion = true;
            }
            else if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                values.Errors.Add($"'{argument}' (command line) is not expected here; settings look like --key value, and --help lists them all.");
            }
            else
            {
                index += ReadSetting(argument[2..], index + 1 < arguments.Count ? arguments[index + 1] : null, values);
            }
        }

        return new CommandLine(isHelp, isVersion, values);
    }

    /// <returns>How many further arguments belong to the setting.</returns>
    private static int ReadSetting(string text, string? next, SettingValues values)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        var name = equals < 0 ? text : text[..equals];
        var setting = HostSettingCatalog.Find(name);
        var isNextValue = equals < 0 && setting is not { IsSwitch: true } && next is not null && !next.StartsWith("--", StringComparison.Ordinal);
        if (setting is null || setting.Key != name)
        {
            values.Errors.Add($"--{name} (command line) is no setting; --help lists them all.");
            return isNextValue ? 1 : 0;
        }

        var value = equals >= 0 ? text[(equals + 1)..] : setting.IsSwitch ? "true" : isNextValue ? next : null;
        var earlier = values.Find(setting.Key);
        if (value is null)
        {
            values.Errors.Add($"--{name} (command line) needs a value: --{name} {setting.Placeholder}.");
        }
        else if (earlier is not null && !setting.IsRepeatable)
        {
            values.Errors.Add($"--{name} (command line) is given twice, as '{earlier.Texts[0]}' and '{value}'; give it once.");
        }
        else
        {
            values.Set(setting.Key, new SettingValue([.. earlier?.Texts ?? [], value], Source));
        }

        return isNextValue ? 1 : 0;
    }
}
