using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>Blocks that an engine holds from the beginning to the end of a run, so that every fault finds data that must survive it.</summary>
internal sealed class ResidentBlocks(ChaosPool pool, int pages, TimeProvider time)
{
    /// <summary>Above all versions that a replay gives.</summary>
    private const uint FirstVersion = 1u << 30;

    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    private readonly List<StampedBlock> _blocks = [];
    private int _heldSince;
    private uint _lastVersion = FirstVersion;

    /// <summary>Sees that they are there and written, again after a loss of the pool.</summary>
    /// <param name="limit">Ends the attempt; what is missing is made up for the next time.</param>
    public async Task EnsureAsync(CancellationToken limit)
    {
        if (_heldSince == pool.BeginCount && _blocks.Count > 0)
        {
            return;
        }

        try
        {
            _blocks.Clear();
            var since = pool.BeginCount;
            var shape = pool.Spec.Geometry.Ranks[0].Groups[0];
            var taken = new BlockId[pages * (int)(shape.PageBytes / shape.BlockBytes)];
            while (!pool.TryAllocateBlocks(0, taken))
            {
                await pool.GrowAsync(0, pages, TimeSpan.FromSeconds(1), limit);
                await Task.Delay(RetryInterval, time, limit);
            }

            _blocks.AddRange(taken.Select(block => new StampedBlock(block, ++_lastVersion, IsWhole: true)));
            while (!(await pool.WriteStampsAsync(0, [.. _blocks], limit)).IsComplete)
            {
                await Task.Delay(RetryInterval, time, limit);
            }

            _heldSince = since;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            _heldSince = 0;
        }
    }

    /// <summary>Gives them back; they were verified with everything else.</summary>
    public string? Release()
    {
        if (_heldSince != pool.BeginCount || _blocks.Count == 0)
        {
            return null;
        }

        BlockId[] blocks = [.. _blocks.Select(stamp => stamp.Block)];
        _blocks.Clear();
        return pool.FreeBlocks(0, blocks);
    }
}
