using System.ComponentModel;
using Kvcached.Core.Contracts;
using Kvcached.Core.Units;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl drain</c>: makes a GPU's host ready to be stopped, and says what is lost when it is.</summary>
internal sealed class DrainCommand : AsyncCommand<DrainCommand.Settings>
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    internal sealed class Settings : ChangeSettings
    {
        [CommandArgument(0, "<GPU>")]
        [Description("The GPU's id, or the beginning of it.")]
        public string Gpu { get; init; } = string.Empty;

        [CommandOption("--undo")]
        [Description("Ends it: the GPU lends again. A host that is started again lends by itself.")]
        public bool IsUndone { get; init; }

        [CommandOption("--wait <SECONDS>")]
        [Description("How long to wait until nothing is under way, 0 to 3600; default 30.")]
        [DefaultValue(30)]
        public int WaitSeconds { get; init; }
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        if (settings.WaitSeconds is < 0 or > 3600)
        {
            throw new UsageException($"--wait '{settings.WaitSeconds}' is not allowed; allowed: 0 to 3600 seconds.");
        }

        using var client = new ManagementClient(settings.ReadUrl());
        var (path, token, started) = ($"/gpus/{Uri.EscapeDataString(settings.Gpu)}/drain", settings.ReadToken(), TimeProvider.System.GetTimestamp());
        var method = settings.IsUndone ? HttpMethod.Delete : HttpMethod.Post;
        var drain = await client.ChangeAsync(method, path, token, ManagementJsonContext.Default.DrainView, cancellationToken);
        while (!settings.IsUndone && !drain.IsQuiet && TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(settings.WaitSeconds))
        {
            await Task.Delay(Pause, cancellationToken);
            drain = await client.ChangeAsync(method, path, token, ManagementJsonContext.Default.DrainView, cancellationToken);
        }

        if (settings.IsJson)
        {
            Output.WriteJson(drain);
        }
        else
        {
            Console.Out.WriteLine(settings.IsUndone ? $"{drain.Gpu} lends again." : Describe(drain));
        }

        return settings.IsUndone || drain.IsQuiet ? ExitCodes.Done : ExitCodes.Deferred;
    }

    private static string Describe(DrainView drain)
    {
        var lines = drain.Pools.Select(pool =>
            $"  {pool.Name}: {ByteSize.Format(pool.HeldBytes)}, {(pool.IsKept ? "kept by its workers meanwhile" : "mapped by the host itself: LOST when it stops")}{(pool.Awaited.Length == 0 ? string.Empty : $"; {pool.Awaited}")}");
        return string.Join(Environment.NewLine, lines.Prepend(drain.IsQuiet
            ? $"{drain.Gpu} is drained: its host may be stopped. Start it again within host-return-window."
            : $"{drain.Gpu} is being drained; something is still under way."));
    }
}
