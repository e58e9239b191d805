using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Engines;

/// <summary>
/// An engine's session with a domain of hosts. Opened with <see cref="EngineClient.ConnectAsync"/>. Thread-safe.
/// Disposing it closes the session and returns all its memory.
/// </summary>
public interface IEngineClient : IAsyncDisposable
{
    /// <summary>Opens a pool, or says why not. Retried under one request id until answered or cancelled.</summary>
    Task<EngineResult<IEnginePool>> OpenPoolAsync(PoolSpec spec, CancellationToken cancellation);
}

/// <summary>
/// One pool, as its engine's scheduler sees it. Blocks of mapped pages are allocated in process, without a round trip; growth and
/// return go through the coordinator in whole extents. Thread-safe.
/// </summary>
public interface IEnginePool : IAsyncDisposable
{
    PoolId Id { get; }

    PoolSpec Spec { get; }

    /// <summary>Set once the pool was withdrawn (a rank's memory is lost, the session ended): why. Its blocks must not be used any more.</summary>
    Refusal? Withdrawn { get; }

    /// <summary>Takes exactly <c>blocks.Length</c> blocks from mapped pages, the fullest extents first; false, and none taken, when there are too few.</summary>
    bool TryAllocateBlocks(int group, Span<BlockId> blocks);

    /// <summary>Frees blocks. Checked as a whole first: on a double, foreign or stale id none is freed.</summary>
    /// <returns>Null, or what was wrong.</returns>
    string? FreeBlocks(int group, ReadOnlySpan<BlockId> blocks);

    /// <summary>Asks for pages and adds them to the block allocator. Granted on all ranks or refused, by the deadline at the latest.</summary>
    Task<EngineResult<ImmutableArray<Extent>>> GrowAsync(int group, int pageCount, TimeSpan deadline, CancellationToken cancellation);

    /// <summary>Returns extents with no used block, longest idle first, until at most <paramref name="warmPagesToKeep"/> such pages are left.</summary>
    /// <returns>Pages returned.</returns>
    Task<EngineResult<int>> TrimAsync(int group, int warmPagesToKeep, TimeSpan minimumIdle, CancellationToken cancellation);

    /// <summary>Writes stamps on every rank through a mapping of its own; see <see cref="DataCheckProtocol"/>.</summary>
    Task<StampOutcome> WriteStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation);

    /// <summary>Checks stamps on every rank.</summary>
    Task<StampOutcome> VerifyStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation);

    /// <summary>Counts of this moment.</summary>
    EnginePoolStats GetStats();
}

/// <summary>Either a value or a typed refusal.</summary>
public readonly record struct EngineResult<T>(T? Value, Refusal? Refusal)
{
    public bool IsGranted => Refusal is null;

    public static implicit operator EngineResult<T>(Refusal refusal) => new(default, refusal);
}

/// <summary>What came of one batch of stamps over all ranks.</summary>
/// <param name="CorruptBlocks">Blocks, summed over ranks, that didn't hold their stamp.</param>
/// <param name="Problem">The first difference, or why a rank could not answer; null when all is well.</param>
/// <param name="IsComplete">False when a rank could not answer, so that nothing may be concluded.</param>
public sealed record StampOutcome(int CorruptBlocks, string? Problem, bool IsComplete);

/// <param name="MappedPages">Pages held, over all KV groups.</param>
/// <param name="MappedBytesPerRank">Bytes held on each rank.</param>
/// <param name="UsedBlocks">Blocks in use.</param>
/// <param name="LiveBytesPerRank">Bytes of used blocks on each rank.</param>
/// <param name="WarmPages">Pages of extents with no used block.</param>
/// <param name="Grants">Growth requests granted.</param>
/// <param name="Refusals">Growth requests refused.</param>
/// <param name="RevokedExtents">Extents given up when the coordinator asked.</param>
/// <param name="Decisions">Decisions that this pool's requests caused (maps and unmaps).</param>
/// <param name="MapLatencies">Milliseconds from asking to being told, of recent growth requests, newest last, at most 4096.</param>
/// <param name="UnmapLatencies">The same of returns.</param>
public sealed record EnginePoolStats(
    int MappedPages, ImmutableArray<long> MappedBytesPerRank, long UsedBlocks, ImmutableArray<long> LiveBytesPerRank, int WarmPages,
    long Grants, long Refusals, long RevokedExtents, long Decisions,
    ImmutableArray<double> MapLatencies, ImmutableArray<double> UnmapLatencies);
