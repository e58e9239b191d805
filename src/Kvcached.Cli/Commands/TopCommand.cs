using System.ComponentModel;
using Kvcached.Core.Contracts;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl top</c>: GPUs and pools as they change. Into a pipe it prints once.</summary>
internal sealed class TopCommand : AsyncCommand<TopCommand.Settings>
{
    internal sealed class Settings : HostSettings
    {
        [CommandOption("-r|--refresh <SECONDS>")]
        [Description("Seconds between two looks, 0.1 to 3600. Default 1.")]
        [DefaultValue(1.0)]
        public double RefreshSeconds { get; init; } = 1;

        [CommandOption("--once")]
        [Description("Prints once and ends.")]
        public bool IsOnce { get; init; }

        public override ValidationResult Validate() =>
            RefreshSeconds is >= 0.1 and <= 3600 ? base.Validate() : ValidationResult.Error($"--refresh '{RefreshSeconds}' is not allowed; allowed: 0.1 to 3600");
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        var (gpus, pools) = await ReadAsync(client, cancellationToken);
        if (settings.IsJson)
        {
            Output.WriteJson(pools);
            return ExitCodes.Done;
        }

        var view = new TopView();
        if (settings.IsOnce || Console.IsOutputRedirected)
        {
            Output.Write([view.Render(gpus, pools)]);
            return ExitCodes.Done;
        }

        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(settings.RefreshSeconds));
        await Output.CreateConsole().Live(view.Render(gpus, pools)).StartAsync(async live =>
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                (gpus, pools) = await ReadAsync(client, cancellationToken);
                live.UpdateTarget(view.Render(gpus, pools));
            }
        });
        return ExitCodes.Done;
    }

    private static async Task<(GpuView[] Gpus, PoolsView Pools)> ReadAsync(ManagementClient client, CancellationToken cancellation) => (
        await client.GetAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, cancellation),
        await client.GetAsync("/pools", ManagementJsonContext.Default.PoolsView, cancellation));
}
