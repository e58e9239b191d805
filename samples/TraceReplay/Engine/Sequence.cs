using Kvcached.Actors.Protocols;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Engine;

/// <summary>A request on its way through an engine, with the blocks that hold its keys and values.</summary>
internal sealed class Sequence(TraceRequest request)
{
    public TraceRequest Request { get; } = request;

    /// <summary>Blocks held now, in token order; empty while it waits.</summary>
    public List<StampedBlock> Blocks { get; } = [];

    /// <summary>Tokens generated so far; kept when the sequence is preempted, and computed again with its prompt.</summary>
    public int GeneratedTokens { get; set; }

    /// <summary>Trace time at which its prompt has been computed and decoding may begin.</summary>
    public TimeSpan PrefilledAt { get; set; }

    /// <summary>Tokens whose keys and values it holds when it runs.</summary>
    public int TokenCount => Request.ContextTokens + GeneratedTokens;

    public int RemainingTokens => Request.GeneratedTokens - GeneratedTokens;

    /// <summary>Blocks still missing for that many tokens.</summary>
    public int MissingBlocks(int tokenCount) =>
        Math.Max(0, ((tokenCount + ReplayModel.TokensPerBlock - 1) / ReplayModel.TokensPerBlock) - Blocks.Count);
}
