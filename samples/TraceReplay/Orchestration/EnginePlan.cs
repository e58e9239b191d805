using System.Collections.Immutable;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>One of the engines of a run.</summary>
/// <param name="Name">Its name and its pool's.</param>
/// <param name="Model">Its model, with the layers that are replayed.</param>
/// <param name="RankCount">Ranks, on the first so many hosts.</param>
/// <param name="TracePath">Its trace.</param>
/// <param name="Offset">Where in the trace its window begins.</param>
/// <param name="Requests">The requests of that window.</param>
internal sealed record EnginePlan(
    string Name, ReplayModel Model, int RankCount, string TracePath, TimeSpan Offset, ImmutableArray<TraceRequest> Requests);
