using System.ComponentModel;
using Kvcached.Core.Contracts;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl names</c>: names of pools or GPUs, one a line, for completion.</summary>
internal sealed class NamesCommand : AsyncCommand<NamesCommand.Settings>
{
    internal sealed class Settings : HostSettings
    {
        [CommandOption("--gpus")]
        [Description("Of GPUs, not of pools.")]
        public bool AreGpus { get; init; }
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        IEnumerable<string> names = settings.AreGpus
            ? (await client.GetAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, cancellationToken)).Select(gpu => gpu.Gpu)
            : (await client.GetAsync("/pools", ManagementJsonContext.Default.PoolsView, cancellationToken)).Pools.Select(pool => pool.Name);
        foreach (var name in names)
        {
            Console.Out.WriteLine(name);
        }

        return ExitCodes.Done;
    }
}
