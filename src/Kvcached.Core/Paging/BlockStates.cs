using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;

namespace Kvcached.Core.Paging;

/// <summary>
/// The states of all blocks, a bit each. What is said of the same 64 blocks lies side by side in one line of the processor's cache: a block
/// at random costs one miss, whatever is asked about it.
/// </summary>
internal sealed class BlockStates
{
    private const int PlaneCount = 4;
    private const int LineWords = 64 / sizeof(ulong);
    private readonly ulong[] _words;
    private readonly int _firstWord;

    /// <summary>All blocks in no state.</summary>
    public BlockStates(int blockCount)
    {
        // Pinned, so that it can be made to start with a line, and stays so.
        _words = GC.AllocateArray<ulong>(checked((((blockCount + 63) >> 6) * PlaneCount) + LineWords - 1), pinned: true);
        var beyondLine = (int)((Marshal.UnsafeAddrOfPinnedArrayElement(_words, 0) / sizeof(ulong)) & (LineWords - 1));
        _firstWord = (LineWords - beyondLine) & (LineWords - 1);
        Free = new BlockBits(_words, _firstWord, PlaneCount);
        Used = new BlockBits(_words, _firstWord + 1, PlaneCount);
        Cached = new BlockBits(_words, _firstWord + 2, PlaneCount);
        Tagged = new BlockBits(_words, _firstWord + 3, PlaneCount);
    }

    public BlockBits Free { get; }

    public BlockBits Used { get; }

    public BlockBits Cached { get; }

    public BlockBits Tagged { get; }

    /// <summary>A used block becomes free; false, and nothing changed, when it isn't used. Its tag is left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFree(int block)
    {
        ref var word = ref WordOf(block);
        var bit = 1UL << (block & 63);
        if ((word.Used & bit) == 0)
        {
            return false;
        }

        word.Used &= ~bit;
        word.Free |= bit;
        return true;
    }

    /// <summary>Undoes <see cref="TryFree"/>.</summary>
    public void Use(int block)
    {
        ref var word = ref WordOf(block);
        word.Used |= 1UL << (block & 63);
        word.Free &= ~(1UL << (block & 63));
    }

    /// <summary>
    /// Puts the lowest free blocks from <paramref name="from"/> on to use, one for each place of <paramref name="taken"/>, and returns the
    /// last. There have to be enough of them.
    /// </summary>
    public int UseLowest(int from, Span<BlockId> taken)
    {
        ref var word = ref WordOf(from);
        var firstOfWord = from & ~63;
        var bits = word.Free & (ulong.MaxValue << (from & 63));
        for (var count = 0; ;)
        {
            while (bits == 0)
            {
                firstOfWord += 64;
                word = ref WordOf(firstOfWord);
                bits = word.Free;
            }

            var moved = 0UL;
            do
            {
                taken[count++] = new BlockId(firstOfWord | BitOperations.TrailingZeroCount(bits));
                moved |= bits & (~bits + 1);
                bits &= bits - 1;
            }
            while (bits != 0 && count < taken.Length);

            word.Free &= ~moved;
            word.Used |= moved;
            if (count == taken.Length)
            {
                return taken[^1].Value;
            }
        }
    }

    // The array has room for a whole word wherever one starts.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Word WordOf(int block) => ref Unsafe.As<ulong, Word>(ref _words[_firstWord + ((block >> 6) * PlaneCount)]);

    /// <summary>The states of 64 blocks.</summary>
    private struct Word
    {
        public ulong Free;
        public ulong Used;
        public ulong Cached;
        public ulong Tagged;
    }
}
