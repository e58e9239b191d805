using System.ComponentModel;
using Kvcached.Core.Contracts;
using Kvcached.Core.Sharing;
using Kvcached.Core.Units;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl limit</c> and <c>kvctl limit-percent</c></summary>
internal class LimitCommand : AsyncCommand<LimitCommand.Settings>
{
    internal sealed class Settings : ChangeSettings
    {
        [CommandArgument(0, "<POOL>")]
        [Description("Name or id of the pool.")]
        public string Pool { get; init; } = string.Empty;

        [CommandArgument(1, "[AMOUNT]")]
        [Description("The limit on each GPU: 20GiB, 20g, bytes, 50% of what each GPU lends, or 'default' for what the engine asked. Absent: stays as it is.")]
        public string? Amount { get; init; }

        [CommandOption("--floor <AMOUNT>")]
        [Description("What others leave to it on each GPU, likewise.")]
        public string? Floor { get; init; }

        [CommandOption("--gpus <GPU,GPU>")]
        [Description("On which of its GPUs, by id or the beginning of it; what is laid down there counts over what is for all. 'default' there takes it back. Absent: all others.")]
        public string? Gpus { get; init; }

        [CommandOption("--weight <N>")]
        [Description("Its share of what no floor claims, 1 to 1000000, or 'default'.")]
        public string? Weight { get; init; }

        [CommandOption("--revision <N>")]
        [Description("Number of the change, above the last one. Absent: the next.")]
        public long? Revision { get; init; }
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var change = new LimitChangeView(ReadLimit(settings.Amount), SizeText.Read(settings.Floor, "--floor"), ReadWeight(settings.Weight), settings.Revision ?? 0)
        {
            Gpus = settings.Gpus?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        };
        if (settings.Revision is <= 0)
        {
            throw new UsageException($"--revision '{settings.Revision}' is not allowed; allowed: 1 and more.");
        }

        if (change is { Limit.IsNone: true, Floor.IsNone: true, Weight: 0 })
        {
            throw new UsageException("nothing is to be changed; give an amount, --floor or --weight.");
        }

        using var client = new ManagementClient(settings.ReadUrl());
        var outcome = await client.ChangeAsync(
            HttpMethod.Put, $"/pools/{Uri.EscapeDataString(settings.Pool)}/limit", settings.ReadToken(), change, ChangeJsonContext.Default.LimitChangeView,
            ManagementJsonContext.Default.LimitOutcomeView, cancellationToken);
        if (settings.IsJson)
        {
            Output.WriteJson(outcome);
        }
        else
        {
            Console.Out.WriteLine(Describe(outcome));
        }

        return outcome.Outcome == "deferred" ? ExitCodes.Deferred : ExitCodes.Done;
    }

    /// <summary>What the argument means as a limit.</summary>
    protected virtual MemoryAmount ReadLimit(string? text) => SizeText.Read(text, "the limit");

    private static string Describe(LimitOutcomeView outcome)
    {
        var accounts = string.Join("; ", outcome.OnGpus.Select(on =>
            $"{on.Gpu} holds {ByteSize.Format(on.UsedBytes + on.ReservedBytes + on.QuarantinedBytes)} of {ByteSize.Format(on.LimitBytes)}, floor {ByteSize.Format(on.FloorBytes)}"));
        var kept = outcome.KeptByHosts == outcome.HostCount ? string.Empty : $" Kept by {outcome.KeptByHosts} of {outcome.HostCount} hosts so far.";
        return $"{outcome.Name}: {outcome.Outcome}, revision {outcome.Revision}. {accounts}.{(outcome.Outcome == "deferred" ? " It is being shrunk; nothing is granted to it meanwhile." : string.Empty)}{kept}";
    }

    private static int ReadWeight(string? text) => text switch
    {
        null => 0,
        MemoryAmount.AsOpenedText => PolicyChange.WeightAsOpened,
        _ when int.TryParse(text, out var weight) && weight is >= 1 and <= PoolPolicy.MaxWeight => weight,
        _ => throw new UsageException($"--weight '{text}' is not allowed; allowed: 1 to {PoolPolicy.MaxWeight}, or default."),
    };
}

/// <summary><c>kvctl limit-percent</c>: the same with a bare number of percents.</summary>
internal sealed class LimitPercentCommand : LimitCommand
{
    protected override MemoryAmount ReadLimit(string? text) => SizeText.Read(text is null || text.EndsWith('%') ? text : text + "%", "the percentage");
}
