namespace Kvcached.Actors.Protocols;

/// <summary>Which span of which trace a decision belongs to, as W3C's trace context has them; only traces that are recorded are named.</summary>
/// <param name="TraceId">The trace, 128 bits; never 0.</param>
/// <param name="SpanId">The coordinator's span in it, 64 bits; never 0.</param>
public sealed record TraceLink(UInt128 TraceId, long SpanId);
