using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client;

/// <summary>Counts of an arena.</summary>
/// <param name="Extents">Extents in the table.</param>
/// <param name="Pages">Pages in the table.</param>
/// <param name="MappedBytes">Bytes mapped, those that are leaving or stuck included.</param>
/// <param name="Descriptors">File descriptors of memory that are open.</param>
/// <param name="LeavingExtents">Extents that wait for their fence.</param>
/// <param name="StuckExtents">Extents that the driver doesn't let go of.</param>
/// <param name="CompletedStep">The last step that is complete, with all before it.</param>
/// <param name="Digest">Digest of the table.</param>
/// <param name="Operations">Operations carried out.</param>
/// <param name="Refusals">Operations refused.</param>
/// <param name="Connections">Times that a host attached this worker.</param>
public sealed record KvArenaStats(
    int Extents, int Pages, long MappedBytes, int Descriptors, int LeavingExtents, int StuckExtents, EngineStep CompletedStep,
    LayoutDigest Digest, long Operations, long Refusals, int Connections);
