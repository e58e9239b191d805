using System.Collections.Immutable;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>What one engine will ask of a GPU.</summary>
/// <param name="Requests">Its requests.</param>
/// <param name="BytesPerBlock">Bytes of one of its blocks on that GPU.</param>
/// <param name="BytesPerPage">Bytes of one of its pages on that GPU.</param>
internal sealed record EngineDemand(ImmutableArray<TraceRequest> Requests, long BytesPerBlock, long BytesPerPage);

/// <summary>
/// What the traces alone say about memory on one GPU, if nobody ever had to wait for any: the reason for how much the hosts of
/// a demonstration lend.
/// </summary>
/// <param name="JointPeakBytes">Most bytes of used blocks over all engines at one moment.</param>
/// <param name="StaticBytes">Sum of each engine's own peak: what fixed shares would have to be.</param>
/// <param name="WarmBytes">Two pages of each engine: one that is partly used, and one for its next blocks.</param>
internal sealed record DemandEstimate(long JointPeakBytes, long StaticBytes, long WarmBytes)
{
    /// <summary>Room for pages in which few blocks are left.</summary>
    private const double HeadRoom = 1.15;

    /// <summary>Fixed shares must not fit, or nothing would be shown.</summary>
    private const double MostOfStatic = 0.9;

    private const long Rounding = 64 * ByteSize.MiB;

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);

    /// <summary>The joint peak and some room, but less than fixed shares; at least 256 MiB, in steps of 64 MiB.</summary>
    public long SuggestedBytes
    {
        get
        {
            var bytes = Math.Min((JointPeakBytes * HeadRoom) + WarmBytes, StaticBytes * MostOfStatic);
            return Math.Max(4, (long)Math.Ceiling(bytes / Rounding)) * Rounding;
        }
    }

    public static DemandEstimate Create(ImmutableArray<EngineDemand> engines, TimeSpan decodeStep, double prefillTokensPerSecond)
    {
        var joint = new Dictionary<long, long>();
        long staticBytes = 0;
        foreach (var engine in engines)
        {
            var blocks = UsedBlocksByTick(engine.Requests, decodeStep, prefillTokensPerSecond);
            staticBytes += blocks.Values.DefaultIfEmpty().Max() * engine.BytesPerBlock;
            foreach (var (tick, count) in blocks)
            {
                joint[tick] = joint.GetValueOrDefault(tick) + (count * engine.BytesPerBlock);
            }
        }

        return new DemandEstimate(joint.Values.DefaultIfEmpty().Max(), staticBytes, engines.Sum(engine => 2 * engine.BytesPerPage));
    }

    private static Dictionary<long, long> UsedBlocksByTick(ImmutableArray<TraceRequest> requests, TimeSpan decodeStep, double prefillTokensPerSecond)
    {
        var blocks = new Dictionary<long, long>();
        var prefillFreeAt = TimeSpan.Zero;
        foreach (var request in requests)
        {
            var begin = prefillFreeAt > request.Arrival ? prefillFreeAt : request.Arrival;
            prefillFreeAt = begin + TimeSpan.FromSeconds(request.ContextTokens / prefillTokensPerSecond);
            var end = prefillFreeAt + (decodeStep * request.GeneratedTokens);
            for (var tick = begin.Ticks / Tick.Ticks; tick <= end.Ticks / Tick.Ticks; tick++)
            {
                var decoding = TimeSpan.FromTicks(tick * Tick.Ticks) - prefillFreeAt;
                var generated = Math.Clamp((int)(decoding / decodeStep), 0, request.GeneratedTokens);
                var tokens = request.ContextTokens + generated;
                blocks[tick] = blocks.GetValueOrDefault(tick) + ((tokens + ReplayModel.TokensPerBlock - 1) / ReplayModel.TokensPerBlock);
            }
        }

        return blocks;
    }
}
