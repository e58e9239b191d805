using System.ComponentModel;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sharing;
using Kvcached.Core.Units;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl trim</c></summary>
internal sealed class TrimCommand : AsyncCommand<TrimCommand.Settings>
{
    internal sealed class Settings : ChangeSettings
    {
        [CommandArgument(0, "<POOL>")]
        [Description("Name or id of the pool.")]
        public string Pool { get; init; } = string.Empty;

        [CommandArgument(1, "[SIZE]")]
        [Description("At least so much on each GPU, as far as there is. Absent: all that is mapped and unused beyond its floor.")]
        public string? Size { get; init; }
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var size = SizeText.Read(settings.Size, "the size");
        if (size.Unit is not (MemoryUnit.None or MemoryUnit.Bytes))
        {
            throw new UsageException($"the size '{settings.Size}' is not allowed; allowed: bytes, or a size such as 2GiB.");
        }

        using var client = new ManagementClient(settings.ReadUrl());
        var outcome = await client.ChangeAsync(
            HttpMethod.Post, $"/pools/{Uri.EscapeDataString(settings.Pool)}/trim", settings.ReadToken(), new TrimChangeView(size),
            ChangeJsonContext.Default.TrimChangeView, ManagementJsonContext.Default.TrimOutcomeView, cancellationToken);
        if (settings.IsJson)
        {
            Output.WriteJson(outcome);
        }
        else
        {
            Console.Out.WriteLine(outcome.AskedBytes == 0
                ? $"{outcome.Name}: nothing is unused beyond its floor."
                : $"{outcome.Name}: gave up {ByteSize.Format(outcome.GivenBytes)} of {ByteSize.Format(outcome.AskedBytes)} that it was asked for.");
        }

        return ExitCodes.Done;
    }
}
