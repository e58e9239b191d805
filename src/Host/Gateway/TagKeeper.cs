using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Keeps, per pool, the file in which its scheduler writes the tags of its blocks, so that the next one finds them when the writer has died. Safe for
/// use by several threads.
/// </summary>
/// <param name="maxFiles">Most files.</param>
/// <param name="time">The clock.</param>
/// <param name="places">Where all hosts of the machine say what they keep.</param>
internal sealed class TagKeeper(int maxFiles, TimeProvider time, TagPlaces places) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PoolId, Kept> _files = [];
    private bool _isDisposed;

    /// <param name="File">The file.</param>
    /// <param name="FileBytes">Its size.</param>
    /// <param name="Session">The session that gave it.</param>
    /// <param name="UserId">User of that session.</param>
    /// <param name="EndedAt">When that session ended; null while it lives.</param>
    private sealed record Kept(SafeFileHandle File, long FileBytes, SessionId Session, uint UserId, long? EndedAt);

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _files.Count;
            }
        }
    }

    /// <summary>Keeps a file in place of the pool's last one. Takes the descriptor over whatever the outcome.</summary>
    /// <returns>Why it isn't kept, or null.</returns>
    public Refusal? Keep(SocketProtocol.KeepTags request, uint userId, SafeFileHandle file)
    {
        var problem = FindProblem(request, file);
        lock (_gate)
        {
            if (problem is null && _files.TryGetValue(request.Pool, out var last) && last.UserId != userId)
            {
                problem = new Refusal(RefusalReason.NotAllowed, $"The tags of {request.Pool} are another user's.");
            }
            else if (problem is null && !_files.ContainsKey(request.Pool) && _files.Count >= maxFiles)
            {
                problem = new Refusal(RefusalReason.Busy, $"{_files.Count} files of tags are kept, and no more can be.");
            }

            if (problem is not null || _isDisposed)
            {
                file.Dispose();
                return problem;
            }

            Remove(request.Pool);
            _files.Add(request.Pool, new Kept(file, request.FileBytes, request.Session, userId, null));
            places.Note(request.Pool, file, userId);
            return null;
        }
    }

    /// <summary>A descriptor of what another session of that user left for the pool; it is the caller's. Null when there is nothing.</summary>
    public SafeFileHandle? Find(PoolId pool, SessionId opener, uint userId, out long fileBytes)
    {
        lock (_gate)
        {
            fileBytes = 0;
            if (!_files.TryGetValue(pool, out var kept))
            {
                // With the host that the last scheduler was connected to, perhaps. Kept there as long as here.
                return places.Find(pool, userId, out fileBytes);
            }

            if (kept.Session == opener)
            {
                return null;
            }

            // The coordinator hands a pool to its own user only; another's file under its id is somebody's trick.
            if (kept.UserId != userId || SizeOf(kept.File) != kept.FileBytes)
            {
                Remove(pool);
                return null;
            }

            fileBytes = kept.FileBytes;
            _files[pool] = kept with { Session = opener, EndedAt = null };
            return FileDescriptors.TryDuplicateHigh(kept.File, out var duplicate, out _) ? duplicate : null;
        }
    }

    /// <summary>The pool is closed.</summary>
    public void Drop(PoolId pool, SessionId session)
    {
        lock (_gate)
        {
            if (_files.TryGetValue(pool, out var kept) && kept.Session == session)
            {
                Remove(pool);
            }
        }
    }

    /// <summary>The session is over; its pools may pass to another one for a while.</summary>
    public void SessionEnded(SessionId session)
    {
        lock (_gate)
        {
            foreach (var (pool, kept) in _files.Where(f => f.Value.Session == session).ToArray())
            {
                _files[pool] = kept with { EndedAt = kept.EndedAt ?? time.GetTimestamp() };
            }
        }
    }

    /// <summary>Drops what nobody came for within that time.</summary>
    public void Expire(TimeSpan window)
    {
        lock (_gate)
        {
            foreach (var (pool, _) in _files.Where(f => f.Value.EndedAt is { } at && time.GetElapsedTime(at) > window).ToArray())
            {
                Remove(pool);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            foreach (var pool in _files.Keys.ToArray())
            {
                Remove(pool);
            }
        }
    }

    private void Remove(PoolId pool)
    {
        if (_files.Remove(pool, out var kept))
        {
            places.Forget(pool, kept.File);
            kept.File.Dispose();
        }
    }

    private static Refusal? FindProblem(SocketProtocol.KeepTags request, SafeFileHandle file)
    {
        if (request.FileBytes is < 1 or > SocketLimits.MaxTagBytes)
        {
            return new Refusal(RefusalReason.InvalidCount, $"A file of tags has 1 to {SocketLimits.MaxTagBytes} bytes, not {request.FileBytes}.");
        }

        return SizeOf(file) == request.FileBytes
            ? null
            : new Refusal(RefusalReason.InvalidMessage, $"What came to keep the tags of {request.Pool} is no regular file of {request.FileBytes} bytes. Send a memory file.");
    }

    // -1 for whatever isn't a regular file.
    private static long SizeOf(SafeFileHandle file) => TagPlaces.TryLook(file, out var status) ? (long)status.ByteCount : -1;
}
