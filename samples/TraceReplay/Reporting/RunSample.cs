using System.Collections.Immutable;

namespace Kvcached.TraceReplay.Reporting;

/// <summary>Memory at one moment of a run.</summary>
/// <param name="Elapsed">Real time since trace time began.</param>
/// <param name="MappedBytes">Bytes held by each engine, over all its ranks.</param>
/// <param name="LiveBytes">Bytes of each engine's used blocks, over all its ranks.</param>
internal sealed record RunSample(TimeSpan Elapsed, ImmutableArray<long> MappedBytes, ImmutableArray<long> LiveBytes);
