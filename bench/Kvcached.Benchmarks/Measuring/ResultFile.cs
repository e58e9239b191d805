using System.Runtime.InteropServices;
using System.Text.Json;

namespace Kvcached.Benchmarks.Measuring;

/// <summary>Writes a benchmark's figures as JSON, with what they were measured on.</summary>
internal static class ResultFile
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <param name="path">Where to; nothing is written when empty.</param>
    /// <param name="benchmark">Name of the benchmark.</param>
    /// <param name="settings">What it was run with.</param>
    /// <param name="results">Its figures.</param>
    public static void Write(string path, string benchmark, object settings, object results)
    {
        if (path.Length > 0)
        {
            File.WriteAllText(path, JsonSerializer.Serialize(new { benchmark, machine = DescribeMachine(), settings, results }, Options));
        }
    }

    /// <summary>Processors and runtime, and how many processes wanted to run in the last one, five and fifteen minutes.</summary>
    public static object DescribeMachine() => new
    {
        processors = Environment.ProcessorCount,
        runtime = RuntimeInformation.FrameworkDescription,
        loadAverage = LoadAverage(),
        at = TimeProvider.System.GetUtcNow(),
    };

    public static string LoadAverage() =>
        File.Exists("/proc/loadavg") ? string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3]) : "unknown";
}
