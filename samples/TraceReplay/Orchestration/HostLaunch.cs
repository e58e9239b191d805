using System.Collections.Immutable;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>How a host of the run is started.</summary>
/// <param name="Index">Number of the GPU, from 0.</param>
/// <param name="RunDirectory">Its run directory.</param>
/// <param name="LogName">Name of its log file.</param>
internal sealed record HostLaunch(int Index, string RunDirectory, string LogName)
{
    /// <summary>Addresses of hosts to join; none for the first, which joins itself.</summary>
    public ImmutableArray<string> Seeds { get; init; } = [];

    /// <summary>Port of Akka.Remote; 0 takes a free one.</summary>
    public int Port { get; init; }

    /// <summary>Port of the management HTTP; 0 takes a free one.</summary>
    public int ManagementPort { get; init; }

    /// <summary>Further arguments.</summary>
    public ImmutableArray<string> More { get; init; } = [];
}
