using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Core.Decisions;

/// <summary>An extent with the request that it answered, as ranks keep it so that a later coordinator can answer a retry.</summary>
/// <param name="Extent">The extent.</param>
/// <param name="Session">The session that asked; default once the engine has acknowledged the answer.</param>
/// <param name="Request">The request; default once acknowledged.</param>
public readonly record struct TableEntry(Extent Extent, SessionId Session, RequestId Request);
