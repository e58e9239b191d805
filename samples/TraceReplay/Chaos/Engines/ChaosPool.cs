using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.TraceReplay.Engine;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>
/// The pool of an engine whose scheduler and workers are processes of their own, any of which may be gone at any moment: then requests are refused, and
/// stamps are neither written nor judged, until its successor is there.
/// </summary>
internal sealed partial class ChaosPool : IResettablePool
{
    private readonly string _name;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly BlockBook _book = new();
    private readonly EngineChild?[] _workers;
    private readonly int _blocksPerPage;
    private readonly long _bytesPerBlock;
    private readonly long _bytesPerPage;
    private readonly List<double> _mapMilliseconds = [];
    private readonly List<double> _unmapMilliseconds = [];
    private volatile EngineChild? _scheduler;
    private bool _isReset;
    private int _mappedPages;
    private long _grants;
    private long _refusals;

    public ChaosPool(PoolSpec spec, TimeProvider time)
    {
        (Spec, _name, _time) = (spec, spec.Name, time);
        var shape = spec.Geometry.Ranks[0].Groups[0];
        _workers = new EngineChild?[spec.Geometry.Ranks.Length];
        (_blocksPerPage, _bytesPerBlock, _bytesPerPage) = ((int)(shape.PageBytes / shape.BlockBytes), shape.BytesPerBlock, shape.BytesPerPageId);
    }

    public PoolId Id { get; private set; }

    public PoolSpec Spec { get; }

    /// <summary>Never: a pool that is lost is opened anew.</summary>
    public Refusal? Withdrawn => null;

    /// <summary>One command to the scheduler at a time, and none while it is replaced.</summary>
    public SemaphoreSlim Gate { get; } = new(1);

    /// <summary>The scheduler; null while there is none.</summary>
    public EngineChild? Scheduler
    {
        get => _scheduler;
        set => _scheduler = value;
    }

    /// <summary>Workers by rank; null while one isn't attached or its table isn't complete.</summary>
    public EngineChild?[] Workers => _workers;

    /// <summary>Blocks that did not hold their stamp, in any check, summed over ranks.</summary>
    public long CorruptBlocks { get; private set; }

    /// <summary>The first of them, or another thing that must not be.</summary>
    public string? FirstViolation { get; private set; }

    public bool TakeReset()
    {
        lock (_lock)
        {
            var wasReset = _isReset;
            _isReset = false;
            return wasReset;
        }
    }

    public bool TryAllocateBlocks(int group, Span<BlockId> blocks)
    {
        lock (_lock)
        {
            return !_isReset && _book.TryTake(blocks);
        }
    }

    public string? FreeBlocks(int group, ReadOnlySpan<BlockId> blocks)
    {
        lock (_lock)
        {
            if (_isReset)
            {
                return null;
            }

            foreach (var block in blocks)
            {
                if (!_book.Release(block))
                {
                    return $"{block} was given back, but it isn't the engine's.";
                }
            }

            return null;
        }
    }

    public async Task<EngineResult<ImmutableArray<Extent>>> GrowAsync(int group, int pageCount, TimeSpan deadline, CancellationToken cancellation)
    {
        await Gate.WaitAsync(cancellation);
        try
        {
            var begin = _time.GetTimestamp();
            await FlushFreesAsync();
            var refusal = await AllocateAsync(pageCount * _blocksPerPage, deadline);
            if (refusal is not null)
            {
                _refusals++;
                return refusal;
            }

            _grants++;
            _mapMilliseconds.Add(_time.GetElapsedTime(begin).TotalMilliseconds);
            return new EngineResult<ImmutableArray<Extent>>([], null);
        }
        finally
        {
            Gate.Release();
        }
    }

    public async Task<EngineResult<int>> TrimAsync(int group, int warmPagesToKeep, TimeSpan minimumIdle, CancellationToken cancellation)
    {
        await Gate.WaitAsync(cancellation);
        try
        {
            lock (_lock)
            {
                _book.ReleaseFree(warmPagesToKeep * _blocksPerPage);
                if (_book.ReleasedCount == 0)
                {
                    return new EngineResult<int>(0, null);
                }
            }

            await FlushFreesAsync();
            var begin = _time.GetTimestamp();
            var answer = await AskSchedulerAsync($"trim pool={_name} keep=0 deadline=2");
            if (EngineAnswer.RefusalOf(answer) is { } refusal)
            {
                return refusal;
            }

            var pages = answer!.Value.GetProperty("pages").GetInt32();
            _mappedPages -= Math.Min(pages, _mappedPages);
            if (pages > 0)
            {
                _unmapMilliseconds.Add(_time.GetElapsedTime(begin).TotalMilliseconds);
            }

            return new EngineResult<int>(pages, null);
        }
        finally
        {
            Gate.Release();
        }
    }

    public async Task<StampOutcome> WriteStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation)
    {
        var outcome = await OnWorkersAsync("write", blocks);
        lock (_lock)
        {
            if (!outcome.IsComplete || _isReset)
            {
                return outcome with { IsComplete = false };
            }

            _book.Wrote(blocks);
            return outcome;
        }
    }

    public async Task<StampOutcome> VerifyStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation)
    {
        var outcome = await OnWorkersAsync("verify", blocks);
        CorruptBlocks += outcome.CorruptBlocks;
        FirstViolation ??= outcome.Problem;
        return outcome;
    }

    public EnginePoolStats GetStats()
    {
        lock (_lock)
        {
            var ranks = Spec.Geometry.Ranks.Length;
            ImmutableArray<long> mapped = [.. Enumerable.Repeat(_mappedPages * _bytesPerPage, ranks)];
            ImmutableArray<long> live = [.. Enumerable.Repeat(_book.UsedCount * _bytesPerBlock, ranks)];

            // Free ones are those that can be handed out without asking; the scheduler has no others for this engine.
            var used = ((long)_mappedPages * _blocksPerPage) - _book.FreeCount;
            return new EnginePoolStats(_mappedPages, mapped, used, live, 0, _grants, _refusals, 0, _grants + _unmapMilliseconds.Count, [.. _mapMilliseconds.TakeLast(4096)], [.. _unmapMilliseconds.TakeLast(4096)]);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
