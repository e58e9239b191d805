using System.Collections.Immutable;

namespace Kvcached.Gpu.Pools;

/// <summary>Outcome of <see cref="PagePool.Close"/>.</summary>
public abstract record CloseResult
{
    private CloseResult()
    {
    }

    /// <summary>Everything was given back.</summary>
    public sealed record Closed(long ReleasedBytes) : CloseResult;

    /// <summary>There is no such pool; closing twice is no fault.</summary>
    public sealed record NotFound : CloseResult;

    /// <summary>
    /// The driver refused something: the pool takes no more requests and stays counted with what is left; closing it again tries again.
    /// </summary>
    /// <param name="Remaining">Extents still mapped.</param>
    /// <param name="RemainingBytes">Bytes not given back.</param>
    /// <param name="Text">The first failure, as a sentence.</param>
    public sealed record Incomplete(ImmutableArray<QuarantinedExtent> Remaining, long RemainingBytes, string Text) : CloseResult;
}
