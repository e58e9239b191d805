using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// The blocks of an engine's one KV group, each stamped on every rank when it is allocated and verified on every rank before it is
/// freed. There is no other way to free one.
/// </summary>
internal sealed class CheckedBlocks(IEnginePool pool, int seed, double wholeShare)
{
    /// <summary>Stamps per message, so that a large batch stays well below the frame limits of the transport.</summary>
    public const int MaxBatch = 2048;

    private const int Group = 0;

    private readonly Random _random = new(seed);
    private readonly List<StampedBlock> _unwritten = [];
    private readonly List<StampedBlock> _retired = [];
    private BlockId[] _scratch = new BlockId[64];
    private uint _lastVersion;

    /// <summary>Blocks allocated so far.</summary>
    public long AllocatedCount { get; private set; }

    /// <summary>Blocks verified on all ranks, and freed, so far.</summary>
    public long VerifiedCount { get; private set; }

    /// <summary>Of the blocks allocated, those stamped in every word.</summary>
    public long WholeCount { get; private set; }

    /// <summary>Blocks, summed over ranks, that didn't hold their stamp.</summary>
    public long CorruptCount { get; private set; }

    /// <summary>Blocks given up by their sequences but not yet verified and freed.</summary>
    public int RetiredCount => _retired.Count;

    /// <summary>Blocks that were lost with their pool, and could not be verified any more.</summary>
    public long LostCount { get; private set; }

    /// <summary>The first thing that went wrong with a stamp or a free; null when nothing did.</summary>
    public string? FirstProblem { get; private set; }

    /// <summary>True once the pool refused to take blocks back: its block tables and the engine's have parted.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Adds exactly <paramref name="count"/> blocks with fresh stamps, or none.</summary>
    public bool TryAllocate(int count, List<StampedBlock> into)
    {
        if (count > _scratch.Length)
        {
            _scratch = new BlockId[count * 2];
        }

        var taken = _scratch.AsSpan(0, count);
        if (!pool.TryAllocateBlocks(Group, taken))
        {
            return false;
        }

        foreach (var block in taken)
        {
            var stamp = new StampedBlock(block, ++_lastVersion, _random.NextDouble() < wholeShare);
            WholeCount += stamp.IsWhole ? 1 : 0;
            _unwritten.Add(stamp);
            into.Add(stamp);
        }

        AllocatedCount += count;
        return true;
    }

    /// <summary>Takes all blocks of a list; they are verified and freed by the next <see cref="FlushAsync"/>.</summary>
    public void Retire(List<StampedBlock> blocks)
    {
        _retired.AddRange(blocks);
        blocks.Clear();
    }

    /// <summary>The pool was lost: no block is the engine's any more.</summary>
    public void Lose()
    {
        LostCount = AllocatedCount - VerifiedCount;
        _unwritten.Clear();
        _retired.Clear();
    }

    /// <summary>
    /// Writes the stamps of new blocks, then verifies retired ones and frees those. What a rank could not answer for stays as it is
    /// for the next call.
    /// </summary>
    public async Task FlushAsync(CancellationToken cancellation)
    {
        await DrainAsync(_unwritten, async batch =>
        {
            var outcome = await pool.WriteStampsAsync(Group, batch, cancellation);
            return Note(outcome);
        });
        if (_unwritten.Count > 0)
        {
            // A block that may lack its stamp can't be told from a corrupt one.
            return;
        }

        await DrainAsync(_retired, async batch =>
        {
            var outcome = await pool.VerifyStampsAsync(Group, batch, cancellation);
            return Note(outcome) && TryFree(batch);
        });
    }

    private static async Task DrainAsync(List<StampedBlock> blocks, Func<ImmutableArray<StampedBlock>, Task<bool>> carryOut)
    {
        while (blocks.Count > 0)
        {
            ImmutableArray<StampedBlock> batch = [.. blocks.Take(MaxBatch)];
            if (!await carryOut(batch))
            {
                return;
            }

            blocks.RemoveRange(0, batch.Length);
        }
    }

    private bool TryFree(ImmutableArray<StampedBlock> batch)
    {
        if (pool.FreeBlocks(Group, batch.Select(stamp => stamp.Block).ToArray()) is { } problem)
        {
            FirstProblem ??= problem;
            IsBroken = true;
            return false;
        }

        VerifiedCount += batch.Length;
        return true;
    }

    private bool Note(StampOutcome outcome)
    {
        FirstProblem ??= outcome.Problem;
        CorruptCount += outcome.CorruptBlocks;
        return outcome.IsComplete;
    }
}
