using System.Globalization;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>
/// One extent mapped by an engine's worker, from the host's command to the worker's answer, against a bare round trip with the same descriptors plus the
/// mapping calls alone in that same process. In turn, so that both see the same machine.
/// </summary>
internal static class AttachedMapBenchmark
{
    private const string Help = """
        attached-map: starts a worker process with the engine's library; measures maps and unmaps of one extent over its socket, and beside them bare round
        trips and bare mapping calls. Without and with a GPU.
          --device ID    HOST-0 for main memory, or the UUID of a GPU (default HOST-0)
          --pages N      pages of one extent, a power of two from 1 to 64; 32 MiB each (default 1)
          --extents N    extents that are mapped for the first time, 4 to 256 (default 32)
          --steps N      repeated maps, after a fifth more to warm up, 10 to 100000 (default 2000)
          --json FILE    write the figures there
        """;

    public static int Run(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var deviceText = arguments.Text("--device", "HOST-0");
        var pages = arguments.Number("--pages", 1, 1, 64);
        var extents = arguments.Number("--extents", 32, 4, 256);
        var steps = arguments.Number("--steps", 2_000, 10, 100_000);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();
        if (!GpuId.TryParse(deviceText, out var device) || !int.IsPow2(pages))
        {
            throw new ArgumentException($"--device {deviceText} --pages {pages}: give HOST-n or a GPU's UUID, and a power of two.");
        }

        Console.WriteLine($"{device}, extents of {pages * 32} MiB; microseconds, p50 / p99 (load {ResultFile.LoadAverage()})");
        using var host = AttachedHost.Start(device, int.Log2(pages), extents);
        var first = new AttachedSamples();
        for (var i = 0; i < extents; i++)
        {
            host.Measure(i, first);
        }

        var repeated = new AttachedSamples();
        for (var i = 0; i < steps / 5; i++)
        {
            host.Measure(i % extents, new AttachedSamples());
        }

        for (var i = 0; i < steps; i++)
        {
            host.Measure(i % extents, repeated);
        }

        Print("first map of an extent", first);
        Print("repeated", repeated);
        ResultFile.Write(json, "attached-map", new { device = device.Value, pages, extents, steps }, new { first = first.ToJson(), repeated = repeated.ToJson() });
        return 0;
    }

    private static void Print(string title, AttachedSamples samples)
    {
        Console.WriteLine(title);
        Row("worker: map", samples.Maps);
        Row("  of it, calls and checks", samples.LibraryMapCalls);
        Row("worker: unmap", samples.Unmaps);
        Row("  of it, calls and checks", samples.LibraryUnmapCalls);
        Row("bare round trip", samples.Bare);
        Row("bare calls: map", samples.MapCalls);
        Row("bare calls: unmap", samples.UnmapCalls);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  map / (round trip + calls): {samples.RatioAt(s => s.P50):0.000} / {samples.RatioAt(s => s.P99):0.000} (mean {samples.RatioAt(s => s.Mean):0.000})"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  (map - round trip) / calls:  {samples.ShareAt(s => s.P50):0.000} (mean {samples.ShareAt(s => s.Mean):0.000})"));
    }

    private static void Row(string name, Samples samples)
    {
        var summary = samples.Summarize();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-28} {summary.P50,9:0.0} / {summary.P99,9:0.0}   n={summary.Count}"));
    }
}
