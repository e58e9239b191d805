using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Client;

/// <summary>
/// The session of an engine's scheduler with its domain. Keeps its lease, connects again when the host restarts, and fences itself: once its
/// lease is near its end, no block is handed out any more. Thread-safe; has one thread of its own, and one more per connection.
/// </summary>
/// <remarks>Disposing it closes its pools and returns their memory. A process that just ends leaves tagged blocks to its successor.</remarks>
public sealed class KvSession : IDisposable
{
    private KvSession()
    {
    }

    /// <summary>Connects and opens a session. Refused, within <see cref="KvSessionOptions.ConnectTimeout"/>, when no host answers or the domain is another.</summary>
    public static ClientResult<KvSession> Open(KvSessionOptions options) => throw new NotImplementedException();

    /// <summary>This session; the same over reconnections.</summary>
    public SessionId Id => throw new NotImplementedException();

    /// <summary>Why the session ended; null while it lives. When it has ended, so have all its pools.</summary>
    public Refusal? Ended => throw new NotImplementedException();

    /// <summary>True while a host is connected. Without one, mapped pages can be used until the lease ends.</summary>
    public bool IsConnected => throw new NotImplementedException();

    /// <summary>Opens a pool with the default options.</summary>
    public ClientResult<KvPool> OpenPool(PoolSpec spec, TimeSpan deadline) => OpenPool(spec, new KvPoolOptions(), deadline);

    /// <summary>
    /// Opens a pool, or takes over one of the same name and geometry whose session has ended: what is mapped stays, and blocks that had a tag are
    /// cached. A pool that this session has open already is refused as <see cref="RefusalReason.NameInUse"/>.
    /// </summary>
    public ClientResult<KvPool> OpenPool(PoolSpec spec, KvPoolOptions options, TimeSpan deadline) => throw new NotImplementedException();

    /// <summary>Closes the session: its pools are gone afterwards, and so are its threads and descriptors.</summary>
    public void Dispose() => throw new NotImplementedException();
}
