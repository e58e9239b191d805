using Kvcached.Cli.Checks;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl doctor</c></summary>
internal sealed class DoctorCommand : AsyncCommand<HostSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, HostSettings settings, CancellationToken cancellationToken)
    {
        CheckResult[] results = [.. MachineChecks.Run(), .. await HostChecks.RunAsync(settings, cancellationToken)];
        if (settings.IsJson)
        {
            Output.WriteJson(results, CliJsonContext.Default.CheckResultArray);
        }
        else
        {
            foreach (var result in results)
            {
                Console.Out.WriteLine($"{result.Status.ToString().ToLowerInvariant(),-5} {result.Check}: {result.Detail}.{(result.Fix.Length > 0 ? $" {result.Fix}" : "")}");
            }
        }

        return results.Any(result => result.Status == CheckStatus.Wrong) ? ExitCodes.Unfit : ExitCodes.Done;
    }
}
