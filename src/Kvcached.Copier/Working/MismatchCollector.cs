using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Gpu.Copying;

namespace Kvcached.Copier.Working;

/// <summary>Gathers what verifying a batch found, describing the first mismatching blocks only.</summary>
internal sealed class MismatchCollector(StampWork work)
{
    private readonly ImmutableArray<BlockMismatch>.Builder _described = ImmutableArray.CreateBuilder<BlockMismatch>();
    private int _blockCount;

    /// <summary>True while another mismatching block would be described.</summary>
    public bool IsDescribing => _described.Count < VerifyReport.MaxMismatches;

    /// <summary>Notes a block that differs.</summary>
    /// <param name="stamp">What was expected.</param>
    /// <param name="mismatchCount">Words that differ, over all lanes.</param>
    /// <param name="lane">The lane of the first of them.</param>
    /// <param name="first">The first of them.</param>
    public void Add(BlockStamp stamp, long mismatchCount, StampLane lane, StampMismatch first)
    {
        _blockCount++;
        if (IsDescribing)
        {
            _described.Add(new BlockMismatch(stamp.Block, stamp.Version, mismatchCount, lane.Layer, lane.Buffer, first));
        }
    }

    /// <summary>Notes a block that differs beyond those that are described.</summary>
    public void AddUndescribed() => _blockCount++;

    public VerifyReport Report() => new(work.Stamps.Length, _blockCount, work.WordCount, _described.ToImmutable());
}
