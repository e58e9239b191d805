using System.Collections.Immutable;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;

namespace Kvcached.Actors.Engines;

/// <summary>One pool in the engine's process. Its block allocators are guarded by one lock, held only for bookkeeping.</summary>
internal sealed partial class EnginePool : IEnginePool
{
    private readonly EngineSessionHandle _session;
    private readonly TimeProvider _time;
    private readonly long _origin;
    private readonly Lock _lock = new();
    private readonly PoolBlocks _blocks;
    private readonly ImmutableArray<ArenaLayout> _layouts;
    private readonly RecentLatencies _mapLatencies = new();
    private readonly RecentLatencies _unmapLatencies = new();
    private readonly DataCheckClient _dataCheck;
    private Refusal? _withdrawn;
    private long _grants;
    private long _refusals;
    private long _revokedExtents;
    private long _decisions;
    private long _reportedWarmVersion;

    public EnginePool(PoolId id, PoolSpec spec, ImmutableArray<Extent> mapped, EngineSessionHandle session, TimeProvider time)
    {
        Id = id;
        Spec = spec;
        _session = session;
        _time = time;
        _origin = time.GetTimestamp();
        var geometry = spec.Geometry;
        _blocks = new PoolBlocks(geometry);
        _layouts = [.. Enumerable.Range(0, geometry.Ranks.Length).Select(rank => ArenaLayout.Create(geometry, rank))];
        _dataCheck = new DataCheckClient(id, [.. geometry.Ranks.Select(r => r.Gpu)], session);
        Add(mapped);
    }

    public PoolId Id { get; }

    public PoolSpec Spec { get; }

    public Refusal? Withdrawn
    {
        get
        {
            lock (_lock)
            {
                return _withdrawn;
            }
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    public bool TryAllocateBlocks(int group, Span<BlockId> blocks)
    {
        lock (_lock)
        {
            return _withdrawn is null && _blocks.TryAllocate(group, blocks);
        }
    }

    public string? FreeBlocks(int group, ReadOnlySpan<BlockId> blocks)
    {
        lock (_lock)
        {
            var fault = _blocks.Free(group, blocks, new LastUse(0, Now));
            return fault.IsNone
                ? null
                : $"{blocks[fault.Index]} of {Id} group {group} can't be freed: {fault.Kind}. None of the {blocks.Length} blocks was freed.";
        }
    }

    public async Task<EngineResult<ImmutableArray<Extent>>> GrowAsync(int group, int pageCount, TimeSpan deadline, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        var result = await _session.RequestAsync(
            (session, request, acked) => new EngineProtocol.AllocatePages(session, request, acked, Id, group, pageCount, deadline),
            deadline, cancellation).ConfigureAwait(false);
        lock (_lock)
        {
            if (result is EngineProtocol.PagesAllocated allocated)
            {
                _grants++;
                _decisions++;
                _mapLatencies.Add(_time.GetElapsedTime(started).TotalMilliseconds);
                return new EngineResult<ImmutableArray<Extent>>(allocated.Extents, null);
            }

            _refusals++;
            return RefusalOf(result);
        }
    }

    public async Task<EngineResult<int>> TrimAsync(int group, int warmPagesToKeep, TimeSpan minimumIdle, CancellationToken cancellation)
    {
        var leaving = TakeWarm(group, warmPagesToKeep, minimumIdle);
        if (leaving.IsEmpty)
        {
            return new EngineResult<int>(0, null);
        }

        var started = _time.GetTimestamp();
        var result = await _session.RequestAsync(
            (session, request, acked) => new EngineProtocol.FreeExtents(session, request, acked, Id, leaving.Extents, leaving.Fence),
            TimeSpan.FromSeconds(30), cancellation).ConfigureAwait(false);
        lock (_lock)
        {
            if (result is EngineProtocol.ExtentsFreed)
            {
                _decisions++;
                _unmapLatencies.Add(_time.GetElapsedTime(started).TotalMilliseconds);
                return new EngineResult<int>(leaving.PageCount, null);
            }

            return RefusalOf(result);
        }
    }

    public Task<StampOutcome> WriteStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation) =>
        _dataCheck.SendAsync(batch => new DataCheckProtocol.WriteStamps(Id, batch, group, blocks), cancellation);

    public Task<StampOutcome> VerifyStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation) =>
        _dataCheck.SendAsync(batch => new DataCheckProtocol.VerifyStamps(Id, batch, group, blocks), cancellation);

    public EnginePoolStats GetStats()
    {
        lock (_lock)
        {
            return new EnginePoolStats(
                _blocks.MappedPageCount,
                [.. _layouts.Select(layout => _blocks.Groups.Sum(b => layout.ShapeOf(b.Group).BytesPerPageId * b.HeldPageCount))],
                _blocks.Groups.Sum(b => (long)b.UsedBlockCount),
                [.. _layouts.Select(layout => _blocks.Groups.Sum(b => layout.ShapeOf(b.Group).BytesPerBlock * b.UsedBlockCount))],
                Enumerable.Range(0, _blocks.GroupCount).Sum(_blocks.WarmPagesOf),
                _grants, _refusals, _revokedExtents, _decisions, _mapLatencies.ToImmutableArray(), _unmapLatencies.ToImmutableArray());
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Withdrawn is null)
        {
            await _session.RequestAsync(
                (session, request, acked) => new EngineProtocol.ClosePool(session, request, acked, Id),
                TimeSpan.FromSeconds(30), CancellationToken.None).ConfigureAwait(false);
            Withdraw(new Refusal(RefusalReason.UnknownPool, $"{Id} was closed by its engine."));
        }

        _dataCheck.Dispose();
    }

    private static Refusal RefusalOf(EngineProtocol.IReply reply) => reply is EngineProtocol.RequestRefused refused
        ? refused.Refusal
        : new Refusal(RefusalReason.NotSupported, $"The coordinator answered with {reply.GetType().Name}, which doesn't fit the request.");
}
