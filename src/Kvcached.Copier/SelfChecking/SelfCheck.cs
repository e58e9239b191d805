using System.Collections.Immutable;
using Kvcached.Copier.Serving;
using Kvcached.Copier.Working;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Memory;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.SelfChecking;

/// <summary>
/// Shows on the device at hand that what the copier maps, stamps and finds is what the processor computes, without a host: every
/// request goes the way that it goes when serving.
/// </summary>
internal sealed class SelfCheck(IVirtualMemory memory, IBlockWorker worker, TextWriter output)
{
    private const int Rank = 3;
    private const uint Version = 7;

    private readonly RequestHandler _handler = new(memory, worker);
    private int _passedCount;
    private int _failedCount;

    /// <summary>Runs all checks and prints one line each, then the sum. True when none failed.</summary>
    public bool Run()
    {
        output.WriteLine($"{memory.Backend} {memory.Gpu} ({memory.DeviceName}), granularity {memory.GranularityBytes} bytes");
        var backend = memory.Backend == "cuda" ? CopierBackend.Cuda : CopierBackend.Host;
        Expect<HelloAccepted>("hello", new Hello(CopierProtocol.Version, backend, memory.Gpu));
        foreach (var layout in Enum.GetValues<KvLayout>())
        {
            CheckLayout(layout);
        }

        output.WriteLine($"{_passedCount} passed, {_failedCount} failed");
        return _failedCount == 0;
    }

    private void CheckLayout(KvLayout layout)
    {
        using var pool = new CheckedPool(memory, layout);
        Expect<Done>($"{layout}: attach", new Attach(pool.Id, Rank, pool.Geometry));
        for (var group = 0; group < pool.Geometry.GroupCount; group++)
        {
            var extent = new Extent(group, new PageId(4), 1, 1);
            var descriptors = pool.Lend(extent);
            var mapped = _handler.Handle(new Map(pool.Id, extent, 0, descriptors.Count, descriptors.Count), descriptors);
            descriptors.ForEach(d => d.Dispose());
            var what = $"{layout}, group {group}";
            Note($"{what}: map", mapped is Done, mapped);
            if (mapped is Done)
            {
                CheckExtent(what, pool, extent);
                Expect<Done>($"{what}: drop", new Drop(pool.Id, extent));
            }
        }

        Expect<Done>($"{layout}: detach", new Detach(pool.Id));
    }

    private void CheckExtent(string what, CheckedPool pool, Extent extent)
    {
        var stamps = StampsOf(pool, extent);
        var fresh = Expect<Verified>($"{what}: verify fresh memory", new Verify(pool.Id, extent.Group, stamps))?.Report;
        Note($"{what}: fresh memory holds no stamp", fresh?.MismatchingBlockCount == stamps.Length, fresh);
        Expect<Done>($"{what}: stamp", new Stamp(pool.Id, extent.Group, stamps));
        var clean = Expect<Verified>($"{what}: verify", new Verify(pool.Id, extent.Group, stamps))?.Report;
        Note($"{what}: {clean?.WordCount} words are as stamped", clean is { IsClean: true, WordCount: > 0 }, clean);
        Note($"{what}: the processor finds the same words", CountWithProcessor(pool, extent.Group, stamps) == 0, null);
        var older = stamps.Select(s => s with { Version = s.Version - 1 }).ToImmutableArray();
        var stale = Expect<Verified>($"{what}: verify an older version", new Verify(pool.Id, extent.Group, older))?.Report;
        Note($"{what}: no block passes for an older version", stale?.MismatchingBlockCount == stamps.Length, stale);
        CheckSum(what, pool, extent);
        CheckCorruption(what, pool, extent.Group, stamps);
    }

    /// <summary>Flips one bit in the middle of the last layer and buffer of a wholly stamped block, and of the tail of a sampled one.</summary>
    private void CheckCorruption(string what, CheckedPool pool, int group, ImmutableArray<BlockStamp> stamps)
    {
        var places = new StampPlaces(pool.Layout.ShapeOf(group).BlockBytes);
        var lane = StampLane.Of(pool.Layout, group)[^1];
        foreach (var (stamp, word) in new[] { (stamps.First(s => s.Whole), places.WordCount / 2), (stamps.First(s => !s.Whole), places.WordCount - 1) })
        {
            var address = _handler.ArenaOf(pool.Id)!.BaseAddress + (nint)(lane.OffsetOf(stamp.Block) + (word * StampPlaces.WordBytes));
            var bytes = new byte[1];
            worker.Read(address, bytes);
            bytes[0] ^= 0x10;
            worker.Write(address, bytes);
            var report = Expect<Verified>($"{what}: verify after corruption", new Verify(pool.Id, group, stamps))?.Report;
            var isFound = report is { MismatchingBlockCount: 1, Mismatches: [{ MismatchCount: 1 } found] } && found.Block == stamp.Block
                && (found.Layer, found.Buffer, found.First.WordIndex) == (lane.Layer, lane.Buffer, word) && (found.First.Expected ^ found.First.Found) == 0x10;
            Note($"{what}: exactly the flipped bit is found", isFound, report);
            bytes[0] ^= 0x10;
            worker.Write(address, bytes);
        }
    }

    private void CheckSum(string what, CheckedPool pool, Extent extent)
    {
        var summed = Expect<Summed>($"{what}: checksum", new Checksum(pool.Id, extent));
        var expected = default(ExtentChecksum);
        long words = 0;
        foreach (var unit in pool.Layout.UnitsOf(extent.Group))
        {
            var bytes = new byte[unit.BytesOf(extent)];
            worker.Read(_handler.ArenaOf(pool.Id)!.BaseAddress + (nint)unit.OffsetOf(extent), bytes);
            expected = expected.With(bytes, words);
            words += bytes.Length / StampPlaces.WordBytes;
        }

        Note($"{what}: the processor computes the same checksum", summed?.Checksum == expected, summed);
    }

    private long CountWithProcessor(CheckedPool pool, int group, ImmutableArray<BlockStamp> stamps)
    {
        var key = StampKey.Of(pool.Id, Rank, group);
        var bytes = new byte[pool.Layout.ShapeOf(group).BlockBytes];
        long mismatches = 0;
        foreach (var stamp in stamps)
        {
            foreach (var lane in StampLane.Of(pool.Layout, group))
            {
                worker.Read(_handler.ArenaOf(pool.Id)!.BaseAddress + (nint)lane.OffsetOf(stamp.Block), bytes);
                mismatches += StampVerifier.Verify(bytes, key.LaneOf(stamp.Block, stamp.Version, lane.Layer, lane.Buffer), stamp.Whole).MismatchCount;
            }
        }

        return mismatches;
    }

    /// <summary>All usable blocks of the extent, every third of them stamped wholly.</summary>
    private static ImmutableArray<BlockStamp> StampsOf(CheckedPool pool, Extent extent)
    {
        var slots = pool.Geometry.SlotsOf(extent.Group);
        var stamps = ImmutableArray.CreateBuilder<BlockStamp>();
        for (var page = extent.First.Value; page < extent.EndPage; page++)
        {
            for (var block = slots.FirstBlockOf(new PageId(page)); block < slots.EndBlockOf(new PageId(page)); block++)
            {
                stamps.Add(new BlockStamp(new BlockId(block), Version + (uint)block, stamps.Count % 3 == 0));
            }
        }

        return stamps.ToImmutable();
    }

    private T? Expect<T>(string what, IRequest request)
        where T : class, IReply
    {
        var reply = _handler.Handle(request, []);
        Note(what, reply is T, reply);
        return reply as T;
    }

    private void Note(string what, bool isPassed, object? facts)
    {
        if (isPassed)
        {
            _passedCount++;
            output.WriteLine($"ok      {what}");
        }
        else
        {
            _failedCount++;
            output.WriteLine($"FAILED  {what}: {facts}");
        }
    }
}
