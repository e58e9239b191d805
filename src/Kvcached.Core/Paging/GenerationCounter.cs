namespace Kvcached.Core.Paging;

/// <summary>
/// Gives the grants of one pool their generations, over all its KV groups: 1, 2, 3 … It never goes back, so that two grants of a
/// pool never share a generation, even if the first was undone. Not thread-safe.
/// </summary>
public sealed class GenerationCounter
{
    /// <summary>The highest generation given so far; 0 = none yet.</summary>
    public uint Last { get; private set; }

    /// <summary>Generations left. A pool that has used all 2^32 - 1 must be reset to go on.</summary>
    public uint Remaining => uint.MaxValue - Last;

    /// <summary>The next generation.</summary>
    /// <exception cref="InvalidOperationException">None is <see cref="Remaining"/>.</exception>
    public uint Next() => Last == uint.MaxValue
        ? throw new InvalidOperationException("This pool has given out all of its 4294967295 generations; reset the pool.")
        : ++Last;

    /// <summary>Goes on above <paramref name="generation"/>, which a rank or an earlier coordinator has seen in use.</summary>
    public void RaiseTo(uint generation) => Last = Math.Max(Last, generation);
}
