using System.Collections.Immutable;
using System.Globalization;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>What a successor must do about the tagged blocks that it found.</summary>
/// <param name="Kept">Blocks that are the engine's, as expected.</param>
/// <param name="Surplus">Blocks that were being allocated or freed when the predecessor died: to be freed.</param>
/// <param name="Missing">Blocks that should have been there.</param>
/// <param name="Foreign">Tags that nobody can have given to these blocks.</param>
internal sealed record TakeOverPlan(ImmutableArray<int> Kept, ImmutableArray<int> Surplus, ImmutableArray<int> Missing, ImmutableArray<string> Foreign);

/// <summary>
/// What one engine must own, known apart from all processes that can die: its blocks, the tag of each, and what was written to them. Pure; not thread-safe.
/// </summary>
internal sealed class BlockBook
{
    private readonly Dictionary<int, long> _tags = [];
    private readonly Stack<int> _free = new();
    private readonly Dictionary<int, StampedBlock> _stamped = [];
    private readonly HashSet<int> _released = [];
    private readonly HashSet<int> _leaving = [];
    private long _nextTag;
    private long _askedFrom = long.MaxValue;

    /// <summary>Blocks that can be handed out at once.</summary>
    public int FreeCount => _free.Count;

    /// <summary>Blocks handed out and not given back.</summary>
    public int UsedCount => _tags.Count - _free.Count - _released.Count - _leaving.Count;

    /// <summary>Blocks given back, which the scheduler doesn't know of yet.</summary>
    public int ReleasedCount => _released.Count;

    /// <summary>Everything that every rank must hold at this moment.</summary>
    public ImmutableArray<StampedBlock> Stamped => [.. _stamped.Values];

    /// <summary>The first tag of an allocation that is asked for now; until <see cref="Granted"/> or <see cref="Refused"/> its outcome is unknown.</summary>
    public long BeginAllocation(int count)
    {
        _askedFrom = _nextTag;
        _nextTag += count;
        return _askedFrom;
    }

    /// <summary>The allocation was carried out. Returns the blocks that were the engine's already: each of them has two owners now.</summary>
    public ImmutableArray<int> Granted(ReadOnlySpan<int> blocks)
    {
        var twice = ImmutableArray.CreateBuilder<int>();
        var tag = _askedFrom;
        foreach (var block in blocks)
        {
            if (_tags.TryAdd(block, tag++))
            {
                _free.Push(block);
            }
            else
            {
                twice.Add(block);
            }
        }

        _askedFrom = long.MaxValue;
        return twice.ToImmutable();
    }

    public void Refused() => _askedFrom = long.MaxValue;

    /// <summary>Hands out exactly <c>blocks.Length</c> blocks, or none.</summary>
    public bool TryTake(Span<BlockId> blocks)
    {
        if (_free.Count < blocks.Length)
        {
            return false;
        }

        foreach (ref var block in blocks)
        {
            block = new BlockId(_free.Pop());
        }

        return true;
    }

    /// <summary>Every rank has written these.</summary>
    public void Wrote(IEnumerable<StampedBlock> blocks)
    {
        foreach (var block in blocks)
        {
            _stamped[block.Block.Value] = block;
        }
    }

    /// <summary>Gives a block back; false when it isn't the engine's.</summary>
    public bool Release(BlockId block)
    {
        _stamped.Remove(block.Value);
        return _tags.ContainsKey(block.Value) && !_leaving.Contains(block.Value) && _released.Add(block.Value);
    }

    /// <summary>Gives blocks back that were never handed out, until so many are left.</summary>
    public void ReleaseFree(int keep)
    {
        while (_free.Count > keep)
        {
            _released.Add(_free.Pop());
        }
    }

    /// <summary>The blocks given back; from now on nobody knows whether the scheduler has freed them, until <see cref="Freed"/>.</summary>
    public int[] BeginFreeing()
    {
        _leaving.UnionWith(_released);
        _released.Clear();
        return [.. _leaving];
    }

    public void Freed()
    {
        foreach (var block in _leaving)
        {
            _tags.Remove(block);
        }

        _leaving.Clear();
    }

    /// <summary>Compares what a successor found with what must be there; what its predecessor left half done counts as freed afterwards.</summary>
    /// <param name="found">Block by tag.</param>
    public TakeOverPlan TakeOver(IReadOnlyDictionary<string, int> found)
    {
        var kept = ImmutableArray.CreateBuilder<int>();
        var surplus = ImmutableArray.CreateBuilder<int>();
        var foreign = ImmutableArray.CreateBuilder<string>();
        foreach (var (text, block) in found)
        {
            var tag = long.Parse(text, CultureInfo.InvariantCulture);
            if (tag >= _askedFrom || _leaving.Contains(block))
            {
                surplus.Add(block);
            }
            else if (_tags.TryGetValue(block, out var expected) && expected == tag)
            {
                kept.Add(block);
            }
            else
            {
                foreign.Add($"block {block} with tag {text}");
            }
        }

        Freed();
        Refused();
        var there = kept.ToHashSet();
        return new TakeOverPlan(kept.ToImmutable(), surplus.ToImmutable(), [.. _tags.Keys.Where(block => !there.Contains(block))], foreign.ToImmutable());
    }

    /// <summary>All is gone.</summary>
    public void Clear()
    {
        _tags.Clear();
        _free.Clear();
        _stamped.Clear();
        _released.Clear();
        _leaving.Clear();
        Refused();
    }
}
