using Kvcached.Benchmarks.Measuring;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>Figures of one run, or of several together, in microseconds.</summary>
internal sealed record MapRunResult
{
    public required int PageCount { get; init; }

    /// <summary>Load averages of the machine when measuring began.</summary>
    public required string Load { get; init; }

    /// <summary>Processors that a host kept busy while measuring, on average over hosts.</summary>
    public required double HostProcessors { get; init; }

    /// <summary>A coordinated map as the coordinator sees it: from taking the request to having granted it.</summary>
    public required Samples CoordinatorMaps { get; init; }

    /// <summary>Of these, deciding and sending to all ranks.</summary>
    public required Samples CoordinatorDecides { get; init; }

    public required Samples CoordinatorUnmaps { get; init; }

    /// <summary>Mapping calls of the slowest rank in the very same maps.</summary>
    public required Samples SlowestDrivers { get; init; }

    /// <summary>Page mappers, from taking the decision to having answered it, all ranks together.</summary>
    public required Samples MapperMaps { get; init; }

    /// <summary>From having sent a map to all ranks until the last page mapper has taken it.</summary>
    public required Samples WaysOut { get; init; }

    /// <summary>From the last page mapper's having answered until the coordinator has dealt with all answers.</summary>
    public required Samples WaysBack { get; init; }

    /// <summary>Bare broadcast and gather, asked for by another process as a map is.</summary>
    public required Samples Bare { get; init; }

    /// <summary>Bare broadcast and gather, one right after the other.</summary>
    public required Samples RepeatedBare { get; init; }

    public required Samples EngineMaps { get; init; }

    public required Samples EngineUnmaps { get; init; }

    /// <summary>The bare broadcast as the process sees it that asked for it.</summary>
    public required Samples EngineBare { get; init; }

    public static MapRunResult Of(int pageCount, string load, double hostProcessors, IReadOnlyList<HostReport> reports, Samples maps, Samples unmaps, Samples bare) => new()
    {
        PageCount = pageCount,
        Load = load,
        HostProcessors = hostProcessors,
        CoordinatorMaps = From(reports.SelectMany(r => r.CoordinatorMaps.TotalMicroseconds)),
        CoordinatorDecides = From(reports.SelectMany(r => r.CoordinatorMaps.DecideMicroseconds)),
        CoordinatorUnmaps = From(reports.SelectMany(r => r.CoordinatorUnmaps.TotalMicroseconds)),
        SlowestDrivers = From(reports.SelectMany(r => r.CoordinatorMaps.SlowestDriverMicroseconds)),
        MapperMaps = From(reports.SelectMany(r => r.MapperMaps.TotalMicroseconds)),
        WaysOut = From(Ways(reports).Select(w => w.Out)),
        WaysBack = From(Ways(reports).Select(w => w.Back)),
        Bare = From(reports.SelectMany(r => r.BareMicroseconds)),
        RepeatedBare = From(reports.SelectMany(r => r.RepeatedBareMicroseconds)),
        EngineMaps = maps,
        EngineUnmaps = unmaps,
        EngineBare = bare,
    };

    /// <summary>All samples of several runs.</summary>
    public static MapRunResult Together(IReadOnlyList<MapRunResult> runs) => new()
    {
        PageCount = runs[0].PageCount,
        Load = string.Join("; ", runs.Select(r => r.Load)),
        HostProcessors = runs.Average(r => r.HostProcessors),
        CoordinatorMaps = From(runs.SelectMany(r => r.CoordinatorMaps.Values)),
        CoordinatorDecides = From(runs.SelectMany(r => r.CoordinatorDecides.Values)),
        CoordinatorUnmaps = From(runs.SelectMany(r => r.CoordinatorUnmaps.Values)),
        SlowestDrivers = From(runs.SelectMany(r => r.SlowestDrivers.Values)),
        MapperMaps = From(runs.SelectMany(r => r.MapperMaps.Values)),
        WaysOut = From(runs.SelectMany(r => r.WaysOut.Values)),
        WaysBack = From(runs.SelectMany(r => r.WaysBack.Values)),
        Bare = From(runs.SelectMany(r => r.Bare.Values)),
        RepeatedBare = From(runs.SelectMany(r => r.RepeatedBare.Values)),
        EngineMaps = From(runs.SelectMany(r => r.EngineMaps.Values)),
        EngineUnmaps = From(runs.SelectMany(r => r.EngineUnmaps.Values)),
        EngineBare = From(runs.SelectMany(r => r.EngineBare.Values)),
    };

    /// <summary>A coordinated map against bare messages and mapping calls, as the coordinator sees both: what may be 1.25 at most.</summary>
    public double RatioAt(Func<Summary, double> read) =>
        read(CoordinatorMaps.Summarize()) / (read(Bare.Summarize()) + read(SlowestDrivers.Summarize()));

    /// <summary>The same as the engine sees both.</summary>
    public double EngineRatioAt(Func<Summary, double> read) =>
        read(EngineMaps.Summarize()) / (read(EngineBare.Summarize()) + read(SlowestDrivers.Summarize()));

    public object ToJson() => new
    {
        PageCount,
        Load,
        HostProcessors,
        RatioP50 = RatioAt(s => s.P50),
        RatioP99 = RatioAt(s => s.P99),
        RatioMean = RatioAt(s => s.Mean),
        EngineRatioP50 = EngineRatioAt(s => s.P50),
        EngineRatioP99 = EngineRatioAt(s => s.P99),
        CoordinatorMaps = CoordinatorMaps.Summarize(),
        CoordinatorDecides = CoordinatorDecides.Summarize(),
        CoordinatorUnmaps = CoordinatorUnmaps.Summarize(),
        SlowestDrivers = SlowestDrivers.Summarize(),
        MapperMaps = MapperMaps.Summarize(),
        WaysOut = WaysOut.Summarize(),
        WaysBack = WaysBack.Summarize(),
        Bare = Bare.Summarize(),
        RepeatedBare = RepeatedBare.Summarize(),
        EngineMaps = EngineMaps.Summarize(),
        EngineUnmaps = EngineUnmaps.Summarize(),
        EngineBare = EngineBare.Summarize(),
    };

    // Every map is one decision at each rank, and they go one after the other, so that they have the same place in all lists.
    private static IEnumerable<(double Out, double Back)> Ways(IReadOnlyList<HostReport> reports)
    {
        var coordinator = reports.Single(r => r.CoordinatorMaps.StartedAt.Count > 0).CoordinatorMaps;
        for (var i = 0; i < coordinator.StartedAt.Count; i++)
        {
            var (lastTaken, lastAnswered) = (0.0, 0.0);
            foreach (var mapper in reports.Select(r => r.MapperMaps))
            {
                lastTaken = Math.Max(lastTaken, mapper.StartedAt[i]);
                lastAnswered = Math.Max(lastAnswered, mapper.StartedAt[i] + mapper.TotalMicroseconds[i]);
            }

            yield return (
                lastTaken - coordinator.StartedAt[i] - coordinator.DecideMicroseconds[i], coordinator.StartedAt[i] + coordinator.TotalMicroseconds[i] - lastAnswered);
        }
    }

    private static Samples From(IEnumerable<double> values)
    {
        var samples = new Samples();
        samples.AddRange(values);
        return samples;
    }
}
