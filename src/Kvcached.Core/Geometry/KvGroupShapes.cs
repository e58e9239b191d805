namespace Kvcached.Core.Geometry;

/// <summary>Computes the block sizes of the usual kinds of KV cache. All factories refuse counts below 1 with an exception.</summary>
public static class KvGroupShapes
{
    /// <summary>Alignment of a state slot, in bytes: what vector loads and tensor views ask for at most.</summary>
    public const int StateAlignmentBytes = 256;

    /// <summary>Keys and values of multi-head or grouped-query attention.</summary>
    /// <param name="name">Name of the group in its pool.</param>
    /// <param name="layerCount">Layers on this rank.</param>
    /// <param name="kvHeadCount">KV heads of the model; divided over the tensor-parallel ranks (<see cref="HeadsPerRank"/>).</param>
    /// <param name="headElements">Elements per head and token, in keys and in values each.</param>
    /// <param name="tokensPerBlock">Tokens of a block.</param>
    /// <param name="bytesPerElement">2 for 16-bit floats, 1 for fp8.</param>
    /// <param name="pageBytes">Bytes of a page in one buffer of one layer.</param>
    /// <param name="scaleBytesPerTokenAndHead">Scales of a quantised cache, kept in the block behind its elements; 0 = none.</param>
    /// <param name="tensorParallelRanks">Ranks that share a layer's heads.</param>
    public static KvGroupShape MultiHead(
        string name,
        int layerCount,
        int kvHeadCount,
        int headElements,
        int tokensPerBlock,
        int bytesPerElement,
        long pageBytes,
        int scaleBytesPerTokenAndHead = 0,
        int tensorParallelRanks = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(headElements, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(bytesPerElement, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(scaleBytesPerTokenAndHead);
        var bytesPerToken = checked(HeadsPerRank(kvHeadCount, tensorParallelRanks)
            * (((long)headElements * bytesPerElement) + scaleBytesPerTokenAndHead));
        return Create(name, KvGroupKind.MultiHead, tokensPerBlock, layerCount, bufferCount: 2, bytesPerToken, pageBytes);
    }

    /// <summary>
    /// As <see cref="MultiHead"/>, for layers that look back a bounded number of tokens. The window bounds how many blocks a
    /// sequence keeps, not what a block takes.
    /// </summary>
    public static KvGroupShape SlidingWindow(
        string name,
        int layerCount,
        int kvHeadCount,
        int headElements,
        int tokensPerBlock,
        int bytesPerElement,
        long pageBytes,
        int scaleBytesPerTokenAndHead = 0,
        int tensorParallelRanks = 1) =>
        MultiHead(
            name, layerCount, kvHeadCount, headElements, tokensPerBlock, bytesPerElement, pageBytes, scaleBytesPerTokenAndHead, tensorParallelRanks)
        with
        { Kind = KvGroupKind.SlidingWindow };

    /// <summary>One latent buffer for keys and values (MLA). Every tensor-parallel rank holds all of it.</summary>
    /// <param name="name">Name of the group in its pool.</param>
    /// <param name="layerCount">Layers on this rank.</param>
    /// <param name="elementsPerToken">Latent and rotary elements together: 512 + 64 for DeepSeek-V3.</param>
    /// <param name="tokensPerBlock">Tokens of a block.</param>
    /// <param name="bytesPerElement">2 for 16-bit floats, 1 for fp8.</param>
    /// <param name="pageBytes">Bytes of a page in the buffer of one layer.</param>
    /// <param name="extraBytesPerToken">Scales of a quantised cache, and what its wider elements take beyond; 0 = none.</param>
    public static KvGroupShape MultiHeadLatent(
        string name,
        int layerCount,
        int elementsPerToken,
        int tokensPerBlock,
        int bytesPerElement,
        long pageBytes,
        int extraBytesPerToken = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(elementsPerToken, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(bytesPerElement, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(extraBytesPerToken);
        var bytesPerToken = checked(((long)elementsPerToken * bytesPerElement) + extraBytesPerToken);
        return Create(name, KvGroupKind.MultiHeadLatent, tokensPerBlock, layerCount, bufferCount: 1, bytesPerToken, pageBytes);
    }

    /// <summary>A state of fixed size per sequence. A block is one slot, padded to a stride that divides the page.</summary>
    /// <param name="name">Name of the group in its pool.</param>
    /// <param name="layerCount">Layers on this rank.</param>
    /// <param name="slotBytes">Bytes of one sequence's state in one layer on this rank; at most a page.</param>
    /// <param name="pageBytes">Bytes of a page (see <see cref="StatePageBytes"/>); a multiple of <see cref="StateAlignmentBytes"/>.</param>
    public static KvGroupShape State(string name, int layerCount, long slotBytes, long pageBytes)
    {
        CheckCommon(name, layerCount, pageBytes);
        return new KvGroupShape(name, KvGroupKind.State, TokensPerBlock: 0, layerCount, BufferCount: 1, StateStride(slotBytes, pageBytes), pageBytes);
    }

    /// <summary>
    /// KV heads that one tensor-parallel rank holds: the quotient, or one that several ranks hold alike when there are more ranks
    /// than heads.
    /// </summary>
    /// <exception cref="ArgumentException">Neither number divides the other.</exception>
    public static int HeadsPerRank(int kvHeadCount, int tensorParallelRanks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(kvHeadCount, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(tensorParallelRanks, 1);
        return CanDivideHeads(kvHeadCount, tensorParallelRanks)
            ? Math.Max(1, kvHeadCount / tensorParallelRanks)
            : throw new ArgumentException(
                $"{kvHeadCount} KV heads can't be shared by {tensorParallelRanks} ranks; one number must divide the other.", nameof(tensorParallelRanks));
    }

    /// <summary>True when <see cref="HeadsPerRank"/> has an answer.</summary>
    public static bool CanDivideHeads(int kvHeadCount, int tensorParallelRanks) =>
        kvHeadCount >= 1 && tensorParallelRanks >= 1
        && (kvHeadCount % tensorParallelRanks == 0 || tensorParallelRanks % kvHeadCount == 0);

    /// <summary>The smallest aligned stride that holds a slot and divides the page.</summary>
    public static long StateStride(long slotBytes, long pageBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slotBytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(slotBytes, pageBytes);
        ArgumentOutOfRangeException.ThrowIfNotEqual(pageBytes % StateAlignmentBytes, 0, nameof(pageBytes));
        var alignedUnits = pageBytes / StateAlignmentBytes;
        var slots = Math.Min(pageBytes / slotBytes, alignedUnits);
        while (alignedUnits % slots != 0)
        {
            slots--;
        }

        return pageBytes / slots;
    }

    /// <summary>
    /// The smallest page, a multiple of <paramref name="basePageBytes"/>, in which padded slots waste at most a share; when none
    /// up to the limit does, the one that wastes least.
    /// </summary>
    /// <param name="slotBytes">Bytes of one sequence's state in one layer.</param>
    /// <param name="basePageBytes">The pool's usual page.</param>
    /// <param name="maxFactor">Largest multiple tried, from 1; more where one slot needs it.</param>
    /// <param name="maxWasteShare">Share of a page that may be padding, 0 to 1.</param>
    public static long StatePageBytes(long slotBytes, long basePageBytes, int maxFactor = 32, double maxWasteShare = 0.1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slotBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(basePageBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxFactor, 1);
        var lowest = ((slotBytes - 1) / basePageBytes) + 1;
        var (best, bestWaste) = (0L, double.MaxValue);
        for (var factor = lowest; factor <= Math.Max(lowest, maxFactor) && bestWaste > maxWasteShare; factor++)
        {
            var pageBytes = checked(factor * basePageBytes);
            var waste = 1 - ((double)slotBytes / StateStride(slotBytes, pageBytes));
            if (waste < bestWaste)
            {
                (best, bestWaste) = (pageBytes, waste);
            }
        }

        return best;
    }

    private static KvGroupShape Create(
        string name, KvGroupKind kind, int tokensPerBlock, int layerCount, int bufferCount, long bytesPerToken, long pageBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokensPerBlock, 1);
        CheckCommon(name, layerCount, pageBytes);
        return new KvGroupShape(name, kind, tokensPerBlock, layerCount, bufferCount, checked(tokensPerBlock * bytesPerToken), pageBytes);
    }

    private static void CheckCommon(string name, int layerCount, long pageBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfLessThan(layerCount, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(pageBytes, 1);
    }
}
