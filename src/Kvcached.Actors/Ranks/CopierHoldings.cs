using System.Collections.Concurrent;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Which pools the copier has ever been given: the page mapper asks the data checker only about these, so that nobody who doesn't check data
/// pays for it. Shared by the two actors; thread-safe.
/// </summary>
internal sealed class CopierHoldings
{
    private readonly ConcurrentDictionary<PoolId, bool> _pools = new();

    /// <summary>Marked before the first extent is handed over.</summary>
    public void Mark(PoolId pool) => _pools[pool] = true;

    public void Clear(PoolId pool) => _pools.TryRemove(pool, out _);

    public bool Contains(PoolId pool) => _pools.ContainsKey(pool);
}
