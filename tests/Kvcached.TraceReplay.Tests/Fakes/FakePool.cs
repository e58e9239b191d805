using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Models;

namespace Kvcached.TraceReplay.Tests.Fakes;

/// <summary>
/// A pool in memory that holds what was stamped into each block and notes every use that a real one would punish: writing or checking
/// a block that isn't allocated, and freeing one that wasn't verified since it was allocated.
/// </summary>
internal sealed class FakePool : IResettablePool
{
    private readonly FakeMemory _memory;
    private readonly VirtualTime _time;
    private readonly int _blocksPerPage;
    private readonly long _bytesPerBlock;
    private readonly long _bytesPerPage;
    private readonly SortedSet<int> _pages = [];
    private readonly Dictionary<int, int> _usedByPage = [];
    private readonly Dictionary<int, uint> _content = [];
    private readonly HashSet<int> _used = [];
    private readonly HashSet<int> _verified = [];
    private readonly List<PendingGrowth> _pending = [];
    private uint _generation;
    private bool _isReset;
    private long _refusals;

    public FakePool(FakeMemory memory, VirtualTime time, string name = "fake", int rankCount = 2)
    {
        (_memory, _time) = (memory, time);
        var model = ReplayModels.Llama8B.WithLayers(4);
        Spec = model.CreatePool(name, [.. Enumerable.Range(0, rankCount).Select(i => GpuId.Parse($"HOST-{i}"))], 1L << 40);
        (_bytesPerBlock, _bytesPerPage) = (model.BytesPerBlock(rankCount), model.BytesPerPage(rankCount));
        _blocksPerPage = (int)(_bytesPerPage / _bytesPerBlock);
    }

    public PoolId Id { get; } = PoolId.Create(1, 1);

    public PoolSpec Spec { get; }

    public Refusal? Withdrawn { get; set; }

    /// <summary>What a real pool would have punished.</summary>
    public List<string> Violations { get; } = [];

    public int BlocksPerPage => _blocksPerPage;

    public int UsedBlocks => _used.Count;

    public int MappedPages => _pages.Count;

    /// <summary>Virtual time from asking to the answer.</summary>
    public TimeSpan GrowthLatency { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary>True to answer growth requests before they return, as far as their latency allows.</summary>
    public bool SettlesAtOnce { get; set; }

    /// <summary>Sizes of the growth requests so far, and when they came.</summary>
    public List<(TimeSpan At, int Pages)> Growths { get; } = [];

    /// <summary>While it returns true, a rank doesn't answer.</summary>
    public Func<bool> IsMute { get; set; } = () => false;

    /// <summary>Blocks that lose their content as soon as they are written.</summary>
    public Predicate<StampedBlock> Corrupts { get; set; } = _ => false;

    public int WholeStamps { get; private set; }

    public uint HighestVersion { get; private set; }

    /// <summary>The pool loses everything, and the engine hears of it at its next turn.</summary>
    public void Reset()
    {
        foreach (var page in _pages)
        {
            _usedByPage[page] = 0;
        }

        LostBlocks += _used.Count;
        _used.Clear();
        _content.Clear();
        _verified.Clear();
        _isReset = true;
    }

    /// <summary>Blocks that were in use at a <see cref="Reset"/>.</summary>
    public int LostBlocks { get; private set; }

    public bool TakeReset()
    {
        var wasReset = _isReset;
        _isReset = false;
        return wasReset;
    }

    public bool TryAllocateBlocks(int group, Span<BlockId> blocks)
    {
        Settle();
        List<int> taken = [];
        foreach (var page in _pages)
        {
            for (var slot = 0; slot < _blocksPerPage && taken.Count < blocks.Length; slot++)
            {
                var block = (page * _blocksPerPage) + slot;
                if (!_used.Contains(block))
                {
                    taken.Add(block);
                }
            }
        }

        if (taken.Count < blocks.Length)
        {
            return false;
        }

        for (var i = 0; i < taken.Count; i++)
        {
            _used.Add(taken[i]);
            _verified.Remove(taken[i]);
            _usedByPage[taken[i] / _blocksPerPage]++;
            blocks[i] = new BlockId(taken[i]);
        }

        return true;
    }

    public string? FreeBlocks(int group, ReadOnlySpan<BlockId> blocks)
    {
        foreach (var block in blocks)
        {
            if (!_used.Contains(block.Value))
            {
                Violations.Add($"{block} freed but not in use");
                return $"{block} is not in use.";
            }

            if (!_verified.Contains(block.Value))
            {
                Violations.Add($"{block} freed before it was verified");
            }
        }

        foreach (var block in blocks)
        {
            _used.Remove(block.Value);
            _usedByPage[block.Value / _blocksPerPage]--;
        }

        return null;
    }

    public Task<EngineResult<ImmutableArray<Extent>>> GrowAsync(int group, int pageCount, TimeSpan deadline, CancellationToken cancellation)
    {
        Growths.Add((_time.Now, pageCount));
        var pending = new PendingGrowth(pageCount, _time.Now + GrowthLatency, new());
        _pending.Add(pending);
        if (SettlesAtOnce)
        {
            Settle();
        }

        return pending.Answer.Task;
    }

    public Task<EngineResult<int>> TrimAsync(int group, int warmPagesToKeep, TimeSpan minimumIdle, CancellationToken cancellation)
    {
        int[] warm = [.. _pages.Where(page => _usedByPage[page] == 0).Skip(warmPagesToKeep)];
        foreach (var page in warm)
        {
            _pages.Remove(page);
            _memory.Return(1);
        }

        return Task.FromResult(new EngineResult<int>(warm.Length, null));
    }

    public Task<StampOutcome> WriteStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (IsMute() || _isReset)
        {
            return Task.FromResult(new StampOutcome(0, "a rank is mute", false));
        }

        foreach (var stamp in blocks)
        {
            NoteUnlessUsed(stamp, "written");
            WholeStamps += stamp.IsWhole ? 1 : 0;
            HighestVersion = Math.Max(HighestVersion, stamp.Version);
            _content[stamp.Block.Value] = Corrupts(stamp) ? 0 : stamp.Version;
        }

        return Task.FromResult(new StampOutcome(0, null, true));
    }

    public Task<StampOutcome> VerifyStampsAsync(int group, ImmutableArray<StampedBlock> blocks, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (IsMute() || _isReset)
        {
            return Task.FromResult(new StampOutcome(0, "a rank is mute", false));
        }

        var corrupt = 0;
        foreach (var stamp in blocks)
        {
            NoteUnlessUsed(stamp, "verified");
            corrupt += _content.GetValueOrDefault(stamp.Block.Value) == stamp.Version ? 0 : 1;
            _verified.Add(stamp.Block.Value);
        }

        return Task.FromResult(new StampOutcome(corrupt, corrupt > 0 ? "another stamp" : null, true));
    }

    public EnginePoolStats GetStats()
    {
        Settle();
        ImmutableArray<long> PerRank(long bytes) => [.. Spec.Geometry.Ranks.Select(_ => bytes)];
        return new EnginePoolStats(
            _pages.Count, PerRank(_pages.Count * _bytesPerPage), _used.Count, PerRank(_used.Count * _bytesPerBlock),
            _pages.Count(page => _usedByPage[page] == 0), Growths.Count - _refusals, _refusals, 0, Growths.Count, [1, 2, 3], [4]);
    }

    public ValueTask DisposeAsync()
    {
        _memory.Return(_pages.Count);
        _pages.Clear();
        return ValueTask.CompletedTask;
    }

    /// <summary>Answers the growth requests whose time has come.</summary>
    private void Settle()
    {
        foreach (var pending in _pending.Where(p => p.Due <= _time.Now).ToArray())
        {
            _pending.Remove(pending);
            if (!_memory.TryTake(pending.PageCount))
            {
                _refusals++;
                pending.Answer.SetResult(new Refusal(RefusalReason.OutOfMemory, $"{pending.PageCount} pages wanted, fewer are free."));
                continue;
            }

            var extents = ImmutableArray.CreateBuilder<Extent>();
            for (var i = 0; i < pending.PageCount; i++)
            {
                var page = Enumerable.Range(0, int.MaxValue).First(p => !_pages.Contains(p));
                _pages.Add(page);
                _usedByPage[page] = 0;
                extents.Add(new Extent(0, new PageId(page), 0, ++_generation));
            }

            pending.Answer.SetResult(new EngineResult<ImmutableArray<Extent>>(extents.ToImmutable(), null));
        }
    }

    private void NoteUnlessUsed(StampedBlock stamp, string what)
    {
        if (!_used.Contains(stamp.Block.Value))
        {
            Violations.Add($"{stamp.Block} {what} but not in use");
        }
    }

    private sealed record PendingGrowth(int PageCount, TimeSpan Due, TaskCompletionSource<EngineResult<ImmutableArray<Extent>>> Answer);
}
