using Kvcached.Core.Ids;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Descriptors of the files of tags that other hosts of the machine keep: when such a host ends, and its scheduler before it is back, tags would end with them.
/// Not thread-safe.
/// </summary>
/// <param name="maxFiles">Most copies.</param>
/// <param name="window">How long a copy is kept after the host that keeps the file has ended.</param>
/// <param name="time">The clock.</param>
/// <param name="places">Where all hosts of the machine say what they keep.</param>
internal sealed class TagCopies(int maxFiles, TimeSpan window, TimeProvider time, TagPlaces places) : IDisposable
{
    private readonly Dictionary<PoolId, Copy> _copies = [];

    /// <param name="Place">What it is a copy of.</param>
    /// <param name="File">The copy.</param>
    /// <param name="EndedAt">When the holder was first seen to have ended; null while it lives.</param>
    private sealed record Copy(TagPlace Place, SafeFileHandle File, long? EndedAt);

    public int Count => _copies.Count;

    /// <summary>Takes copies of what is new, and drops those of what is over. Called from time to time.</summary>
    public void Update()
    {
        var kept = places.List();
        foreach (var (pool, copy) in _copies.ToArray())
        {
            if (!kept.TryGetValue(pool, out var place) || place != copy.Place)
            {
                Drop(pool, copy);
                continue;
            }

            if (IsAlive(place))
            {
                _copies[pool] = copy with { EndedAt = null };
                continue;
            }

            var endedAt = copy.EndedAt ?? time.GetTimestamp();
            _copies[pool] = copy with { EndedAt = endedAt };
            if (time.GetElapsedTime(endedAt) > window)
            {
                Drop(pool, copy);
                places.Clear(pool, place);
            }
        }

        foreach (var (pool, place) in kept)
        {
            if (_copies.Count < maxFiles && place.ProcessId != Environment.ProcessId && !_copies.ContainsKey(pool) && TagPlaces.TryOpen(place) is { } file)
            {
                _copies.Add(pool, new Copy(place, file, null));
                places.NoteCopy(pool, file, place.UserId);
            }
        }
    }

    public void Dispose()
    {
        foreach (var (pool, copy) in _copies.ToArray())
        {
            Drop(pool, copy);
        }
    }

    // Whoever has the number of a process that has ended doesn't hold that file.
    private static bool IsAlive(TagPlace place)
    {
        using var file = TagPlaces.TryOpen(place);
        return file is not null;
    }

    private void Drop(PoolId pool, Copy copy)
    {
        _copies.Remove(pool);
        places.ForgetCopy(pool);
        copy.File.Dispose();
    }
}
