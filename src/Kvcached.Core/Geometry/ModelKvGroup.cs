namespace Kvcached.Core.Geometry;

/// <summary>What the layers of one kind keep per token or per sequence, before any division over ranks.</summary>
public abstract record ModelKvGroup(string Name)
{
    /// <summary>Attention with keys and values per head.</summary>
    /// <param name="Name">Name of the KV group.</param>
    /// <param name="KvHeadCount">KV heads.</param>
    /// <param name="HeadElements">Elements per head and token, in keys and in values each.</param>
    /// <param name="WindowTokens">Tokens that a layer looks back; 0 = all.</param>
    public sealed record Attention(string Name, int KvHeadCount, int HeadElements, int WindowTokens = 0) : ModelKvGroup(Name);

    /// <summary>Multi-head latent attention.</summary>
    /// <param name="Name">Name of the KV group.</param>
    /// <param name="ElementsPerToken">Latent and rotary elements together.</param>
    public sealed record Latent(string Name, int ElementsPerToken) : ModelKvGroup(Name);

    /// <summary>Linear attention by the gated delta rule: a matrix per value head, and the inputs that a short convolution needs.</summary>
    /// <param name="Name">Name of the KV group.</param>
    /// <param name="KeyHeadCount">Key heads.</param>
    /// <param name="KeyHeadElements">Elements of a key head.</param>
    /// <param name="ValueHeadCount">Value heads.</param>
    /// <param name="ValueHeadElements">Elements of a value head.</param>
    /// <param name="ConvolutionWidth">Tokens that the convolution covers, the current one included.</param>
    public sealed record GatedDelta(
        string Name, int KeyHeadCount, int KeyHeadElements, int ValueHeadCount, int ValueHeadElements, int ConvolutionWidth)
        : ModelKvGroup(Name)
    {
        /// <summary>Bytes of one sequence's state in one layer on one rank.</summary>
        /// <param name="tensorParallelRanks">Ranks that share the heads; a divisor of both head counts.</param>
        /// <param name="matrixBytesPerElement">Bytes per element of the matrices.</param>
        /// <param name="inputBytesPerElement">Bytes per element of the kept inputs.</param>
        public long SlotBytes(int tensorParallelRanks, int matrixBytesPerElement, int inputBytesPerElement)
        {
            var matrixElements = (long)ValueHeadCount / tensorParallelRanks * KeyHeadElements * ValueHeadElements;
            var channels = ((2L * KeyHeadCount * KeyHeadElements) + ((long)ValueHeadCount * ValueHeadElements)) / tensorParallelRanks;
            return (matrixElements * matrixBytesPerElement) + (channels * (ConvolutionWidth - 1) * inputBytesPerElement);
        }
    }
}
