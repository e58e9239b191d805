using System.Text.Json.Serialization.Metadata;
using Spectre.Console;
using Spectre.Console.Cli;
using Spectre.Console.Rendering;

namespace Kvcached.Cli.Commands;

/// <summary>Asks one host one thing and prints it, as a table or as JSON.</summary>
internal abstract class HostCommand<TView>(string path, JsonTypeInfo<TView> type) : AsyncCommand<HostSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, HostSettings settings, CancellationToken cancellationToken)
    {
        using var client = new ManagementClient(settings.ReadUrl());
        var view = await client.GetAsync(path, type, cancellationToken);
        if (settings.IsJson)
        {
            Output.WriteJson(view);
        }
        else
        {
            Output.Write(Render(view));
        }

        return ExitCodes.Done;
    }

    protected abstract IEnumerable<IRenderable> Render(TView view);

    protected static Table CreateTable(params string[] columns) => Output.CreateTable(columns);

    protected static Text Cell(string text) => new(text);

    protected static Text Line(string text) => Output.Line(text);
}
