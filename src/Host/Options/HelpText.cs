using System.Reflection;
using System.Text;

namespace Kvcached.Host.Options;

/// <summary>What <c>--help</c> and <c>--version</c> print.</summary>
internal static class HelpText
{
    private const int TextWidth = 78;
    private const int HelpColumn = 32;

    public static string Version { get; } =
        (Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0").Split('+')[0];

    public static string Build()
    {
        var text = new StringBuilder()
            .AppendLine("Kvcached.Host: lends the KV-cache memory of one GPU to the engines of its domain.")
            .AppendLine()
            .AppendLine("Usage: Kvcached.Host [--key value | --key=value | --switch]...")
            .AppendLine();
        foreach (var setting in HostSettingCatalog.All)
        {
            AppendSetting(text, $"  --{setting.Key} {setting.Placeholder}".TrimEnd(), setting.Help);
        }

        AppendSetting(text, "  --help, -h", "prints this");
        AppendSetting(text, "  --version", "prints the version");
        text.AppendLine()
            .AppendLine("Each setting may also stand, from the strongest to the weakest, in the environment (KVCACHED_MANAGEMENT_PORT=0), in the kvcached")
            .AppendLine("section of the file that --config names, and in the section Kvcached of appsettings.json (\"ManagementPort\": 0).")
            .AppendLine()
            .AppendLine("Exit codes:");
        foreach (var code in Enum.GetValues<Startup.HostExitCode>())
        {
            text.AppendLine($"  {(int)code,2}  {Startup.HostExitCodes.Describe(code)}");
        }

        return text.ToString();
    }

    private static void AppendSetting(StringBuilder text, string name, string help)
    {
        var line = name.Length < HelpColumn ? name.PadRight(HelpColumn) : name + Environment.NewLine + new string(' ', HelpColumn);
        var column = 0;
        foreach (var word in help.Split(' '))
        {
            if (column > 0 && column + word.Length > TextWidth)
            {
                text.AppendLine(line.TrimEnd());
                (line, column) = (new string(' ', HelpColumn), 0);
            }

            line += word + " ";
            column += word.Length + 1;
        }

        text.AppendLine(line.TrimEnd());
    }
}
