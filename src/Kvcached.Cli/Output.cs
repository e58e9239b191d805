using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kvcached.Core.Contracts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kvcached.Cli;

/// <summary>How commands print: tables for people, JSON for programs.</summary>
internal static class Output
{
    // Wider than any table, so that output into a pipe is never wrapped.
    private const int PipeWidth = 240;

    private static readonly JsonSerializerOptions Indented = new(ManagementJsonContext.Default.Options) { WriteIndented = true };

    public static IAnsiConsole CreateConsole()
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings());
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = PipeWidth;
        }

        return console;
    }

    public static void Write(IEnumerable<IRenderable> parts)
    {
        var console = CreateConsole();
        foreach (var part in parts)
        {
            console.Write(part);
        }
    }

    /// <summary>Writes what a host answered.</summary>
    public static void WriteJson<T>(T view) => Console.Out.WriteLine(JsonSerializer.Serialize(view, (JsonTypeInfo<T>)Indented.GetTypeInfo(typeof(T))));

    /// <summary>Writes what a command has found out by itself.</summary>
    public static void WriteJson<T>(T view, JsonTypeInfo<T> type) => Console.Out.WriteLine(JsonSerializer.Serialize(view, type));

    public static Table CreateTable(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(column).NoWrap());
        }

        return table;
    }

    /// <summary>A number of things, for people.</summary>
    public static string Count(int number, string one) => number == 1 ? $"1 {one}" : $"{number} {one}s";

    public static Text Line(string text) => new(text + Environment.NewLine);
}
