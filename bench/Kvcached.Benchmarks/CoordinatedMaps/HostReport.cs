namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>What one rank host recorded since it was asked last.</summary>
/// <param name="CoordinatorMaps">Coordinated maps, where the coordinator lives; empty elsewhere.</param>
/// <param name="CoordinatorUnmaps">Coordinated unmaps.</param>
/// <param name="MapperMaps">What the page mapper did for a map.</param>
/// <param name="MapperUnmaps">What it did for an unmap.</param>
/// <param name="DecisionCount">Decisions that have reached the page mapper since its process started.</param>
/// <param name="BareMicroseconds">Bare broadcast and gather, each asked for by a message from another process.</param>
/// <param name="RepeatedBareMicroseconds">The same, one right after the other.</param>
/// <param name="ProcessorSeconds">Processor time that its process has used.</param>
internal sealed record HostReport(
    HostReport.Steps CoordinatorMaps, HostReport.Steps CoordinatorUnmaps, HostReport.Steps MapperMaps, HostReport.Steps MapperUnmaps,
    long DecisionCount, List<double> BareMicroseconds, List<double> RepeatedBareMicroseconds, double ProcessorSeconds)
{
    /// <param name="TotalMicroseconds">From taking the request to having dealt with the last answer.</param>
    /// <param name="DecideMicroseconds">Of these, deciding and sending.</param>
    /// <param name="SlowestDriverMicroseconds">Mapping calls of the slowest rank, as its answer says.</param>
    /// <param name="StartedAt">When it began, in microseconds of the machine's clock, which all processes share.</param>
    internal sealed record Steps(
        List<double> TotalMicroseconds, List<double> DecideMicroseconds, List<double> SlowestDriverMicroseconds, List<double> StartedAt)
    {
        public static Steps None => new([], [], [], []);
    }
}
