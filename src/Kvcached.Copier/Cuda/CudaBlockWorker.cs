using System.Runtime.InteropServices;
using Kvcached.Copier.Serving;
using Kvcached.Copier.Working;
using Kvcached.Core.Checking;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Copying.Devices;
using Kvcached.Gpu.Cuda;

namespace Kvcached.Copier.Cuda;

/// <summary>Works on GPU memory with the kernels of <c>stamps.cu</c>, one launch per batch.</summary>
internal sealed class CudaBlockWorker : IBlockWorker
{
    private const int ThreadCount = 256;

    /// <summary>Blocks of a launch: enough to fill any GPU; the kernels stride over the rest.</summary>
    private const int MaxBlockCount = 4096;

    private const int WarpThreads = 32;

    private readonly CudaWork _work;
    private readonly DeviceBuffer _stamps = new();
    private readonly DeviceBuffer _lanes = new();
    private readonly DeviceBuffer _results = new();

    private CudaBlockWorker(CudaWork work) => _work = work;

    /// <summary>As large as a page may be.</summary>
    public long MaxBlockBytes => 1L << 36;

    /// <summary>Makes a context on the device and loads the kernels.</summary>
    /// <exception cref="CudaWorkException">Either can't be done.</exception>
    public static CudaBlockWorker Open(CudaVirtualMemory memory)
    {
        using var text = new StreamReader(typeof(CudaBlockWorker).Assembly.GetManifestResourceStream("stamps.ptx")!);
        return new CudaBlockWorker(CudaWork.Open(memory, text.ReadToEnd()));
    }

    public void Stamp(StampWork work) => Guard(() =>
    {
        Upload(work);
        _work.Launch(
            "kvc_stamp", GridOf(work), ThreadCount,
            (ulong)work.ArenaAddress, _stamps.Address, (ulong)work.Stamps.Length, _lanes.Address, (ulong)work.Lanes.Length, work.Key.Value, (ulong)work.BlockBytes);
        CudaWork.Finish();
        return true;
    });

    public VerifyReport Verify(StampWork work) => Guard(() =>
    {
        Upload(work);
        var findings = new KernelFinding[work.Stamps.Length];
        findings.AsSpan().Fill(KernelFinding.None);
        _results.Fill<KernelFinding>(findings);
        _work.Launch(
            "kvc_verify", GridOf(work), ThreadCount,
            (ulong)work.ArenaAddress, _stamps.Address, (ulong)work.Stamps.Length, _lanes.Address, (ulong)work.Lanes.Length, work.Key.Value, (ulong)work.BlockBytes,
            _results.Address);
        CudaWork.Finish();
        _results.Fetch<KernelFinding>(findings);
        return Describe(work, findings);
    });

    public ExtentChecksum Add(ExtentChecksum sum, nint address, long byteCount, long firstWordIndex) => Guard(() =>
    {
        Span<ulong> total = [sum.Value];
        _results.Fill<ulong>(total);
        var words = byteCount / StampPlaces.WordBytes;
        var blocks = (int)Math.Clamp((words + ThreadCount - 1) / ThreadCount, 1, MaxBlockCount);
        _work.Launch("kvc_checksum", blocks, ThreadCount, (ulong)address, (ulong)words, (ulong)firstWordIndex, _results.Address);
        CudaWork.Finish();
        _results.Fetch(total);
        return new ExtentChecksum(total[0]);
    });

    public void Read(nint address, Span<byte> destination) => CudaWork.CopyOut((ulong)address, destination);

    public void Write(nint address, ReadOnlySpan<byte> source)
    {
        CudaWork.CopyIn((ulong)address, source);
        CudaWork.Finish();
    }

    public void Dispose()
    {
        _stamps.Dispose();
        _lanes.Dispose();
        _results.Dispose();
        _work.Dispose();
    }

    private static int GridOf(StampWork work)
    {
        var warps = (long)work.Stamps.Length * work.Lanes.Length;
        return (int)Math.Clamp(((warps * WarpThreads) + ThreadCount - 1) / ThreadCount, 1, MaxBlockCount);
    }

    private void Upload(StampWork work)
    {
        _stamps.Fill<KernelStamp>(work.Stamps.Select(s => new KernelStamp(s)).ToArray());
        _lanes.Fill<KernelLane>(work.Lanes.Select(l => new KernelLane(l)).ToArray());
    }

    /// <summary>The kernel tells where the first differing word is; what is there is read and compared anew.</summary>
    private VerifyReport Describe(StampWork work, KernelFinding[] findings)
    {
        var found = new MismatchCollector(work);
        var places = new StampPlaces(work.BlockBytes);
        Span<byte> bytes = stackalloc byte[StampPlaces.WordBytes];
        for (var i = 0; i < findings.Length; i++)
        {
            if (findings[i].Mismatches == 0)
            {
                continue;
            }

            if (!found.IsDescribing)
            {
                found.AddUndescribed();
                continue;
            }

            var stamp = work.Stamps[i];
            var lane = work.Lanes[findings[i].LaneIndex];
            var word = findings[i].WordIndex;
            var byteCount = places.BytesOf(word);
            bytes.Clear();
            Read(work.ArenaAddress + (nint)(lane.OffsetOf(stamp.Block) + (word * StampPlaces.WordBytes)), bytes[..byteCount]);
            var expected = work.Key.WordAt(stamp.Block, stamp.Version, lane.Layer, lane.Buffer, word);
            found.Add(
                stamp, (long)findings[i].Mismatches, lane,
                new StampMismatch(word, StampVerifier.Truncate(expected, byteCount), MemoryMarshal.Read<ulong>(bytes)));
        }

        return found.Report();
    }

    /// <summary>After a failed kernel the context is lost, and with it all that this process can do.</summary>
    private static T Guard<T>(Func<T> act)
    {
        try
        {
            return act();
        }
        catch (CudaWorkException failure)
        {
            throw new MemoryStuckException(failure.Message, failure);
        }
    }
}
