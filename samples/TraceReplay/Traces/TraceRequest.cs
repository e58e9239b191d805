namespace Kvcached.TraceReplay.Traces;

/// <summary>One request of a recorded trace.</summary>
/// <param name="Number">Its place in the window that is replayed, from 0.</param>
/// <param name="Arrival">When it arrives, counted from the window's start, in trace time.</param>
/// <param name="ContextTokens">Tokens of its prompt, from 1.</param>
/// <param name="GeneratedTokens">Tokens that were generated for it, from 1.</param>
public readonly record struct TraceRequest(int Number, TimeSpan Arrival, int ContextTokens, int GeneratedTokens);
