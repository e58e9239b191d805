using System.Collections.Immutable;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Scheduling;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Pools;

/// <summary>
/// A tag journal in a file without a name that the host keeps too, so that it outlives this process. Written through a mapping, where what was
/// written is seen even if the writer is killed. Guarded by the lock of its pool.
/// </summary>
internal sealed unsafe class TagFile : IDisposable
{
    private readonly TagJournal _journal;
    private byte* _base;

    private TagFile(TagJournal journal, SafeFileHandle descriptor, nint address)
    {
        _journal = journal;
        Descriptor = descriptor;
        _base = (byte*)address;
        KvProcess.Enter(descriptor);
    }

    public SafeFileHandle Descriptor { get; }

    public long ByteCount => _journal.ByteCount;

    /// <summary>A new journal; null, with the reason, when the system refuses.</summary>
    public static TagFile? TryCreate(PoolGeometry geometry, out string problem)
    {
        var journal = TagJournal.For(geometry);
        if (SealedMemory.TryCreate(journal.ByteCount, isCommitted: false, out var failure) is not { } memory)
        {
            problem = $"The file for the tags of blocks can't be made: {failure.Call}: {failure.Detail}.";
            return null;
        }

        var address = Libc.mmap(0, (nuint)journal.ByteCount, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, memory.Descriptor, 0);
        if (address == Libc.MAP_FAILED)
        {
            problem = $"The file for the tags of blocks can't be mapped: {NativeFailure.Last("mmap").Detail}.";
            memory.Descriptor.Dispose();
            return null;
        }

        // A child that goes on writing tags would spoil those of its parent.
        _ = Libc.madvise(address, (nuint)journal.ByteCount, Libc.MADV_DONTFORK);
        problem = string.Empty;
        var file = new TagFile(journal, memory.Descriptor, address);
        journal.WriteHeader(new Span<byte>(file._base, TagJournal.HeaderBytes));
        return file;
    }

    public void Write(int group, BlockId block, uint generation, ReadOnlySpan<byte> tag)
    {
        if (_base != null)
        {
            TagRecord.Write(RecordOf(group, block), generation, tag);
        }
    }

    public void Clear(int group, BlockId block)
    {
        if (_base != null)
        {
            TagRecord.Clear(RecordOf(group, block));
        }
    }

    /// <summary>
    /// Makes blocks cached that a predecessor's journal has under the generation of the extent they lie in. Returns how many; 0 when the file is no
    /// journal of such a pool. Read, not mapped: the holes of a file that is read take no memory, and nobody can cut it short meanwhile.
    /// </summary>
    public static int Restore(SafeFileHandle predecessor, PoolGeometry geometry, PoolBlocks blocks, ImmutableArray<Extent> extents, LastUse lastUse)
    {
        var journal = TagJournal.For(geometry);
        var header = new byte[TagJournal.HeaderBytes];
        if (!TryRead(predecessor, header, 0) || !journal.IsHeader(header))
        {
            return 0;
        }

        var restored = 0;
        var records = Array.Empty<byte>();
        Span<byte> tag = stackalloc byte[BlockAllocator.MaxTagBytes];
        foreach (var extent in extents)
        {
            if ((uint)extent.Group >= (uint)blocks.GroupCount || !blocks.Groups[extent.Group].Holds(extent))
            {
                continue;
            }

            var slots = geometry.SlotsOf(extent.Group);
            var first = slots.FirstBlockOf(extent.First);
            var count = slots.EndBlockOf(new PageId(extent.EndPage - 1)) - first;
            Array.Resize(ref records, count * TagRecord.ByteCount);
            if (!TryRead(predecessor, records, journal.OffsetOf(extent.Group, new BlockId(first))))
            {
                return restored;
            }

            for (var i = 0; i < count; i++)
            {
                if (TagRecord.TryRead(records.AsSpan(i * TagRecord.ByteCount, TagRecord.ByteCount), out var generation, tag, out var length)
                    && generation == extent.Generation
                    && blocks.Groups[extent.Group].RestoreCached(new BlockId(first + i), tag[..length], lastUse).IsNone)
                {
                    restored++;
                }
            }
        }

        return restored;
    }

    /// <summary>Closes this process's side of it. What the host keeps stays as it is.</summary>
    public void Dispose()
    {
        if (_base != null)
        {
            _ = Libc.munmap((nint)_base, (nuint)ByteCount);
            _base = null;
            KvProcess.Close(Descriptor);
        }
    }

    private static bool TryRead(SafeFileHandle file, Span<byte> destination, long offset)
    {
        try
        {
            for (var read = 0; read < destination.Length;)
            {
                var count = RandomAccess.Read(file, destination[read..], offset + read);
                if (count <= 0)
                {
                    return false;
                }

                read += count;
            }

            return true;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return false;
        }
    }

    private Span<byte> RecordOf(int group, BlockId block) => new(_base + _journal.OffsetOf(group, block), TagRecord.ByteCount);
}
