using Kvcached.Core.Checking;
using Kvcached.Gpu.Copying;

namespace Kvcached.Copier.Working;

/// <summary>Works on main memory with the processor.</summary>
internal sealed class HostBlockWorker : IBlockWorker
{
    /// <summary>Memory is worked on in spans, which count bytes in 32 bits.</summary>
    private const int MaxSpanBytes = 1 << 30;

    public long MaxBlockBytes => MaxSpanBytes;

    public void Stamp(StampWork work)
    {
        foreach (var stamp in work.Stamps)
        {
            foreach (var lane in work.Lanes)
            {
                StampWriter.Write(BlockOf(work, stamp, lane), KeyOf(work, stamp, lane), stamp.Whole);
            }
        }
    }

    public VerifyReport Verify(StampWork work)
    {
        var found = new MismatchCollector(work);
        foreach (var stamp in work.Stamps)
        {
            long mismatches = 0;
            (StampLane Lane, StampMismatch Mismatch)? first = null;
            foreach (var lane in work.Lanes)
            {
                var compared = StampVerifier.Verify(BlockOf(work, stamp, lane), KeyOf(work, stamp, lane), stamp.Whole);
                mismatches += compared.MismatchCount;
                if (first is null && compared.First is { } mismatch)
                {
                    first = (lane, mismatch);
                }
            }

            if (first is { } place)
            {
                found.Add(stamp, mismatches, place.Lane, place.Mismatch);
            }
        }

        return found.Report();
    }

    public ExtentChecksum Add(ExtentChecksum sum, nint address, long byteCount, long firstWordIndex)
    {
        for (long done = 0; done < byteCount;)
        {
            var part = (int)Math.Min(MaxSpanBytes, byteCount - done);
            sum = sum.With(MappedBytes.At(address + (nint)done, part), firstWordIndex + (done / StampPlaces.WordBytes));
            done += part;
        }

        return sum;
    }

    public void Read(nint address, Span<byte> destination) => MappedBytes.At(address, destination.Length).CopyTo(destination);

    public void Write(nint address, ReadOnlySpan<byte> source) => source.CopyTo(MappedBytes.At(address, source.Length));

    public void Dispose()
    {
        // The mappings are the arenas'.
    }

    private static Span<byte> BlockOf(StampWork work, BlockStamp stamp, StampLane lane) =>
        MappedBytes.At(work.ArenaAddress + (nint)lane.OffsetOf(stamp.Block), (int)work.BlockBytes);

    private static LaneKey KeyOf(StampWork work, BlockStamp stamp, StampLane lane) =>
        work.Key.LaneOf(stamp.Block, stamp.Version, lane.Layer, lane.Buffer);
}
