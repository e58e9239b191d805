using Kvcached.Core.Engines;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// Compares what two requests ask for. Watermarks and deadlines don't count: a retry carries later ones.
/// Written out because record equality compares immutable arrays by reference.
/// </summary>
internal static class RequestBodies
{
    public static bool AreSame(EngineProtocol.IRequest left, EngineProtocol.IRequest right) => (left, right) switch
    {
        (EngineProtocol.OpenPool a, EngineProtocol.OpenPool b) => a.Spec == b.Spec,
        (EngineProtocol.ClosePool a, EngineProtocol.ClosePool b) => a.Pool == b.Pool && a.Fence == b.Fence,
        (EngineProtocol.AllocatePages a, EngineProtocol.AllocatePages b) => a.Pool == b.Pool && a.Group == b.Group && a.PageCount == b.PageCount,
        (EngineProtocol.FreeExtents a, EngineProtocol.FreeExtents b) =>
            a.Pool == b.Pool && a.Extents.IsDefault == b.Extents.IsDefault
            && (a.Extents.IsDefault || a.Extents.AsSpan().SequenceEqual(b.Extents.AsSpan())),
        _ => false,
    };
}
