using Kvcached.Core.Contracts;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl names</c>: names of pools, one a line, for completion.</summary>
internal sealed class NamesCommand : AsyncCommand<HostSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, HostSettings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        foreach (var pool in (await client.GetAsync("/pools", ManagementJsonContext.Default.PoolsView, cancellationToken)).Pools)
        {
            Console.Out.WriteLine(pool.Name);
        }

        return ExitCodes.Done;
    }
}
