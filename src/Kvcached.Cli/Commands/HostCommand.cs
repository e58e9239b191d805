using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kvcached.Core.Contracts;
using Spectre.Console;
using Spectre.Console.Cli;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary>Asks one host one thing and prints it, as a table or as JSON.</summary>
internal abstract class HostCommand<TView>(string path, JsonTypeInfo<TView> type) : AsyncCommand<HostSettings>
{
    // Wider than any table, so that output into a pipe is never wrapped.
    private const int PipeWidth = 240;

    private static readonly JsonSerializerOptions Indented = new(ManagementJsonContext.Default.Options) { WriteIndented = true };

    public override async Task<int> ExecuteAsync(CommandContext context, HostSettings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        var view = await client.GetAsync(path, type, cancellationToken);
        if (settings.IsJson)
        {
            Console.Out.WriteLine(JsonSerializer.Serialize(view, (JsonTypeInfo<TView>)Indented.GetTypeInfo(typeof(TView))));
            return ExitCodes.Done;
        }

        var console = AnsiConsole.Create(new AnsiConsoleSettings());
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = PipeWidth;
        }

        foreach (var part in Render(view))
        {
            console.Write(part);
        }

        return ExitCodes.Done;
    }

    protected abstract IEnumerable<IRenderable> Render(TView view);

    protected static Table CreateTable(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(column).NoWrap());
        }

        return table;
    }

    protected static Text Cell(string text) => new(text);

    protected static Text Line(string text) => new(text + Environment.NewLine);
}
