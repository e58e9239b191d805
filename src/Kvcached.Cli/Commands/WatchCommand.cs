using System.ComponentModel;
using System.Globalization;
using System.Text.Json;
using Kvcached.Core.Contracts;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl watch</c>: the domain's events as they come.</summary>
internal sealed class WatchCommand : AsyncCommand<WatchCommand.Settings>
{
    internal sealed class Settings : HostSettings
    {
        [CommandArgument(0, "[POOL]")]
        [Description("Only events of pools of these names.")]
        public string[] Pools { get; init; } = [];

        [CommandOption("--count <N>")]
        [Description("Ends after so many events. Absent: goes on until interrupted.")]
        public int? Count { get; init; }
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        var left = settings.Count ?? int.MaxValue;
        await foreach (var line in client.ReadEventsAsync("/events", cancellationToken))
        {
            var item = JsonSerializer.Deserialize(line, ManagementJsonContext.Default.DomainEventView)!;
            if (settings.Pools.Length > 0 && !settings.Pools.Contains(item.Pool))
            {
                continue;
            }

            Console.Out.WriteLine(settings.IsJson
                ? line
                : string.Create(CultureInfo.InvariantCulture, $"{item.At.ToLocalTime():HH:mm:ss.fff} {item.Kind,-20} {string.Join(' ', ((string[])[item.Pool, item.Gpu]).Where(part => part.Length > 0))}: {item.Detail}"));
            if (--left == 0)
            {
                break;
            }
        }

        return ExitCodes.Done;
    }
}
