using System.Collections.Immutable;

namespace Kvcached.TraceReplay.Engine;

/// <summary>What one engine has done so far, and what it holds now.</summary>
public sealed record EngineReport
{
    public required string Name { get; init; }

    public required string Model { get; init; }

    /// <summary>Ids of its GPUs, in rank order.</summary>
    public required ImmutableArray<string> Gpus { get; init; }

    /// <summary>Trace time that has passed.</summary>
    public double TraceSeconds { get; init; }

    /// <summary>Requests of the whole window.</summary>
    public int Requests { get; init; }

    /// <summary>Requests that have arrived.</summary>
    public int Arrived { get; init; }

    public int Waiting { get; init; }

    public int Running { get; init; }

    public int Finished { get; init; }

    /// <summary>Times that a sequence lost its blocks to older ones.</summary>
    public long Preemptions { get; init; }

    /// <summary>Turns of the engine's loop.</summary>
    public long Turns { get; init; }

    /// <summary>Of these, turns that took longer than they should.</summary>
    public long LateTurns { get; init; }

    public long BlocksAllocated { get; init; }

    /// <summary>Blocks whose stamp was checked on every rank before they were freed.</summary>
    public long BlocksVerified { get; init; }

    /// <summary>Blocks that were lost with their pool, which was announced.</summary>
    public long BlocksLost { get; init; }

    /// <summary>Blocks stamped and checked in every word.</summary>
    public long BlocksFilledWhole { get; init; }

    /// <summary>Blocks, summed over ranks, that didn't hold their stamp.</summary>
    public long CorruptBlocks { get; init; }

    /// <summary>The first thing that went wrong; null when nothing did.</summary>
    public string? Problem { get; init; }

    /// <summary>Bytes mapped now, per rank.</summary>
    public ImmutableArray<long> MappedBytesPerRank { get; init; } = [];

    /// <summary>Bytes of used blocks now, per rank.</summary>
    public ImmutableArray<long> LiveBytesPerRank { get; init; } = [];

    /// <summary>Most bytes mapped at a time, over all ranks.</summary>
    public long PeakMappedBytes { get; init; }

    /// <summary>Most bytes of used blocks at a time, over all ranks, in whole pages.</summary>
    public long PeakLiveBytes { get; init; }

    public long Grants { get; init; }

    public long Refusals { get; init; }

    public long RevokedExtents { get; init; }

    public long Decisions { get; init; }

    public double MapMillisecondsP50 { get; init; }

    public double MapMillisecondsP99 { get; init; }

    public double UnmapMillisecondsP50 { get; init; }

    /// <summary>Bytes mapped now, over all ranks.</summary>
    public long MappedBytes() => MappedBytesPerRank.Sum();

    /// <summary>Bytes of used blocks now, over all ranks.</summary>
    public long LiveBytes() => LiveBytesPerRank.Sum();

    /// <summary>Requests that had not finished when the run ended.</summary>
    public int Unfinished() => Requests - Finished;
}
