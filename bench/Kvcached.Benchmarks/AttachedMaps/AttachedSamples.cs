using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>Microseconds of one kind of steps.</summary>
internal sealed class AttachedSamples
{
    /// <summary>From the command to the worker's answer.</summary>
    public Samples Maps { get; } = new();

    public Samples Unmaps { get; } = new();

    /// <summary>What of <see cref="Maps"/> the library's calls took, with its checks and descriptors, as it says itself.</summary>
    public Samples LibraryMapCalls { get; } = new();

    public Samples LibraryUnmapCalls { get; } = new();

    /// <summary>A message with the same descriptors to the same process, which answers at once.</summary>
    public Samples Bare { get; } = new();

    /// <summary>Import, map and access, measured where they are called.</summary>
    public Samples MapCalls { get; } = new();

    public Samples UnmapCalls { get; } = new();

    public double RatioAt(Func<Summary, double> figure) =>
        figure(Maps.Summarize()) / (figure(Bare.Summarize()) + figure(MapCalls.Summarize()));

    /// <summary>What the library adds to the calls, once one round trip is taken off.</summary>
    public double ShareAt(Func<Summary, double> figure) =>
        (figure(Maps.Summarize()) - figure(Bare.Summarize())) / figure(MapCalls.Summarize());

    public object ToJson() => new
    {
        maps = Maps.Summarize(), unmaps = Unmaps.Summarize(), libraryMapCalls = LibraryMapCalls.Summarize(),
        libraryUnmapCalls = LibraryUnmapCalls.Summarize(), bare = Bare.Summarize(), mapCalls = MapCalls.Summarize(), unmapCalls = UnmapCalls.Summarize(),
        ratioP50 = RatioAt(s => s.P50), shareP50 = ShareAt(s => s.P50),
    };
}
