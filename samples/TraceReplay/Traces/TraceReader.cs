using System.Collections.Immutable;
using System.Globalization;

namespace Kvcached.TraceReplay.Traces;

/// <summary>Either the requests of a trace or what is wrong with it.</summary>
public sealed record TraceResult(ImmutableArray<TraceRequest> Requests, TraceProblem? Problem);

/// <summary>
/// Reads request traces in the form of the Azure LLM inference traces: a header <c>TIMESTAMP,ContextTokens,GeneratedTokens</c>, then
/// one request a line, by rising time.
/// </summary>
public static class TraceReader
{
    /// <summary>The first line of every trace.</summary>
    public const string Header = "TIMESTAMP,ContextTokens,GeneratedTokens";

    /// <summary>More tokens than this in one request are taken for damage to the file.</summary>
    public const int MaxTokens = 1 << 22;

    /// <summary>
    /// Reads the requests that arrive in a window of the trace, renumbered from 0 and counted from the window's start.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="from">Start of the window, counted from the trace's first request.</param>
    /// <param name="length">Length of the window.</param>
    public static TraceResult ReadFile(string path, TimeSpan from, TimeSpan length)
    {
        try
        {
            using var reader = new StreamReader(path);
            return Read(reader, path, from, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Failed(path, 0, e is FileNotFoundException or DirectoryNotFoundException ? "there is no such trace file." : e.Message);
        }
    }

    /// <summary>The same, from text; <paramref name="path"/> is only for messages.</summary>
    public static TraceResult Read(TextReader reader, string path, TimeSpan from, TimeSpan length)
    {
        if (reader.ReadLine()?.TrimEnd() != Header)
        {
            return Failed(path, 1, $"the first line must be '{Header}'.");
        }

        var requests = ImmutableArray.CreateBuilder<TraceRequest>();
        DateTime? start = null;
        var last = DateTime.MinValue;
        var lineNumber = 1;
        while (reader.ReadLine() is { } line)
        {
            lineNumber++;
            if (string.IsNullOrWhiteSpace(line))
            {
                continue;
            }

            if (FindProblem(line, out var time, out var context, out var generated) is { } problem)
            {
                return Failed(path, lineNumber, problem);
            }

            if (time < last)
            {
                return Failed(path, lineNumber, "it is earlier than the line before; a trace is in order of time.");
            }

            last = time;
            start ??= time;
            var arrival = time - start.Value - from;
            if (arrival >= TimeSpan.Zero && arrival < length)
            {
                requests.Add(new TraceRequest(requests.Count, arrival, context, generated));
            }
        }

        if (start is null)
        {
            return Failed(path, 0, "the trace has no requests.");
        }

        return requests.Count > 0
            ? new TraceResult(requests.ToImmutable(), null)
            : Failed(path, 0, string.Create(CultureInfo.InvariantCulture,
                $"no request arrives in the {length.TotalMinutes:0.##} minutes from minute {from.TotalMinutes:0.##}; the trace is {(last - start.Value).TotalMinutes:0.#} minutes long."));
    }

    private static string? FindProblem(string line, out DateTime time, out int context, out int generated)
    {
        (time, context, generated) = (default, 0, 0);
        var fields = line.Split(',');
        if (fields.Length != 3)
        {
            return $"it has {fields.Length} fields; expected are 3: {Header}.";
        }

        if (!DateTime.TryParseExact(fields[0].Trim(), "yyyy-MM-dd HH:mm:ss.FFFFFFF", CultureInfo.InvariantCulture, DateTimeStyles.None, out time))
        {
            return $"'{fields[0]}' is no time; expected is 2023-11-16 18:15:46.6805900.";
        }

        return FindProblemOfCount(fields[1], "context", out context) ?? FindProblemOfCount(fields[2], "generated", out generated);
    }

    private static string? FindProblemOfCount(string text, string what, out int count) =>
        int.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out count) && count is >= 1 and <= MaxTokens
            ? null
            : $"'{text.Trim()}' is no number of {what} tokens from 1 to {MaxTokens}.";

    private static TraceResult Failed(string path, int lineNumber, string text) => new([], new TraceProblem(path, lineNumber, text));
}
