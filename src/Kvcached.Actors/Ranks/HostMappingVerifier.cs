using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>Compares stamps through the host's own mapping: another process's mapping of the same memory wrote them.</summary>
internal static class HostMappingVerifier
{
    /// <summary>Corrupt blocks, and the first difference as a sentence.</summary>
    public static (int CorruptBlocks, string? FirstProblem) Verify(RankPool pool, int group, ImmutableArray<BlockStamp> stamps)
    {
        var key = StampKey.Of(pool.Id, pool.Rank, group);
        var lanes = StampLane.Of(pool.Layout, group);
        var blockBytes = (int)pool.Layout.ShapeOf(group).BlockBytes;
        var corrupt = 0;
        string? first = null;
        foreach (var stamp in stamps)
        {
            string? problem = null;
            foreach (var lane in lanes)
            {
                if (!pool.TryGetHostSpan(lane.OffsetOf(stamp.Block), blockBytes, out var bytes))
                {
                    problem ??= $"{stamp.Block} isn't mapped in the host";
                    break;
                }

                var comparison = StampVerifier.Verify(bytes, key.LaneOf(stamp.Block, stamp.Version, lane.Layer, lane.Buffer), stamp.Whole);
                if (comparison.First is { } mismatch)
                {
                    problem ??= $"{stamp} layer {lane.Layer} buffer {lane.Buffer} byte {mismatch.ByteOffset}: expected {mismatch.Expected:x16}, found {mismatch.Found:x16}";
                }
            }

            corrupt += problem is null ? 0 : 1;
            first ??= problem;
        }

        return (corrupt, first);
    }
}
