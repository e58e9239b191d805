using Kvcached.Core.Checking;
using Kvcached.Gpu.Copying;

namespace Kvcached.Copier.Working;

/// <summary>
/// Works on mapped memory: with the processor or with kernels, to the same effect. Calls return when the work is done. Used by
/// one thread.
/// </summary>
internal interface IBlockWorker : IDisposable
{
    /// <summary>Largest block that it can work on, in bytes of one buffer of one layer.</summary>
    long MaxBlockBytes { get; }

    /// <summary>Writes the stamps.</summary>
    void Stamp(StampWork work);

    /// <summary>Compares memory with the stamps.</summary>
    VerifyReport Verify(StampWork work);

    /// <summary>Adds memory to a checksum.</summary>
    /// <param name="sum">The checksum so far.</param>
    /// <param name="address">Where the memory starts.</param>
    /// <param name="byteCount">Its bytes, a multiple of 8.</param>
    /// <param name="firstWordIndex">Position of its first 8-byte word within the extent.</param>
    ExtentChecksum Add(ExtentChecksum sum, nint address, long byteCount, long firstWordIndex);

    /// <summary>Copies memory out.</summary>
    void Read(nint address, Span<byte> destination);

    /// <summary>Copies bytes in.</summary>
    void Write(nint address, ReadOnlySpan<byte> source);
}
