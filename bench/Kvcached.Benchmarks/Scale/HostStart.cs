using System.Diagnostics;
using System.Globalization;

namespace Kvcached.Benchmarks.Scale;

/// <summary>Starts a published host on main memory until it says that it is ready, and ends it again.</summary>
internal static class HostStart
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <exception cref="InvalidOperationException">A host ended before it was ready; what it said is on standard error.</exception>
    public static async Task<HostStartResult[]> MeasureAsync(string program, int count)
    {
        var results = new List<HostStartResult>();
        for (var i = 0; i < count; i++)
        {
            results.Add(await StartOnceAsync(program));
        }

        return [.. results];
    }

    private static async Task<HostStartResult> StartOnceAsync(string program)
    {
        var directory = Directory.CreateTempSubdirectory("kvcached-bench-");
        var info = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { "--gpu", "none", "--memory", "64MiB", "--run-dir", directory.FullName, "--port", "0", "--management-port", "0" })
        {
            info.ArgumentList.Add(argument);
        }

        var start = Stopwatch.GetTimestamp();
        using var process = Process.Start(info)!;
        try
        {
            // Its log is long: nobody reads it, but it must not fill the pipe.
            var log = process.StandardError.ReadToEndAsync();
            var line = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
            var milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (line is null)
            {
                throw new InvalidOperationException($"{program} ended before it was ready: {await log}");
            }

            process.Refresh();
            return new HostStartResult(milliseconds, ResidentBytes(process.Id), process.TotalProcessorTime.TotalMilliseconds);
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
            directory.Delete(recursive: true);
        }
    }

    private static long ResidentBytes(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }
}

/// <param name="MillisecondsToReady">From starting the process to its line that says where it is reached.</param>
/// <param name="ResidentBytes">Its resident memory then.</param>
/// <param name="ProcessorMilliseconds">Processor time that it has used until then.</param>
internal sealed record HostStartResult(double MillisecondsToReady, long ResidentBytes, double ProcessorMilliseconds);
