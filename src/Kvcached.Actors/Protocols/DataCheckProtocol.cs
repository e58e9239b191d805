using System.Collections.Immutable;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Protocols;

/// <summary>
/// Writing and checking stamps in the blocks of a pool, rank by rank, through a mapping that isn't the host's own. Engines use it to
/// prove that what they were granted is theirs and keeps what they wrote.
/// </summary>
public static class DataCheckProtocol
{
    public interface IMessage
    {
        PoolId Pool { get; }
    }

    /// <summary>Writes stamps. Reply: <see cref="StampsDone"/> or <see cref="StampsFailed"/>.</summary>
    /// <param name="Pool">The pool.</param>
    /// <param name="BatchId">The engine's number for this batch; the reply carries it.</param>
    /// <param name="Group">Index of the KV group.</param>
    /// <param name="Blocks">The blocks; all must lie in mapped extents.</param>
    public sealed record WriteStamps(PoolId Pool, long BatchId, int Group, ImmutableArray<StampedBlock> Blocks) : IMessage;

    /// <summary>Checks stamps. Reply: <see cref="StampsDone"/> or <see cref="StampsFailed"/>.</summary>
    public sealed record VerifyStamps(PoolId Pool, long BatchId, int Group, ImmutableArray<StampedBlock> Blocks) : IMessage;

    /// <param name="Pool">The pool.</param>
    /// <param name="BatchId">The batch.</param>
    /// <param name="Gpu">The rank's GPU.</param>
    /// <param name="CorruptBlocks">Blocks that didn't hold their stamp; 0 after writing.</param>
    /// <param name="FirstProblem">Where and what the first difference was; null when there is none.</param>
    public sealed record StampsDone(PoolId Pool, long BatchId, GpuId Gpu, int CorruptBlocks, string? FirstProblem) : IMessage;

    /// <summary>The batch could not be carried out; nothing may be concluded about the blocks.</summary>
    public sealed record StampsFailed(PoolId Pool, long BatchId, GpuId Gpu, string Problem) : IMessage;
}

/// <summary>One block's stamp.</summary>
/// <param name="Block">The block.</param>
/// <param name="Version">Rises with each new owner of the block, so that an old stamp never matches.</param>
/// <param name="IsWhole">True to write and check every word rather than head, tail and one word per 4 KiB.</param>
public readonly record struct StampedBlock(BlockId Block, uint Version, bool IsWhole);
