using System.Collections.Immutable;
using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Pools;

public sealed partial class RankPool
{
    /// <summary>
    /// Unmaps extents, whether mapped or quarantined. Only goes forward: an extent that the driver won't let go is quarantined, and
    /// the others are unmapped all the same.
    /// </summary>
    /// <param name="extents">The extents, in the generation in which they were mapped.</param>
    /// <param name="keep">True to keep their memory for this pool's next extents of the same shape, false to release it.</param>
    /// <param name="isImported">
    /// Whether the pool's worker has their memory imported from now on, so that it is gone only once the worker has let go (<see cref="LetGo"/>); null when
    /// that is as before.
    /// </param>
    public UnmapResult Unmap(ReadOnlySpan<Extent> extents, bool keep, bool? isImported = null)
    {
        lock (_operations)
        {
            return UnmapAll(extents, keep, isImported);
        }
    }

    /// <summary>
    /// Takes mapped extents out of use without touching their memory, for as long as somebody may still write to it: they stay counted
    /// and their page ids blocked until <see cref="Unmap"/> is told otherwise. Returns those that were mapped.
    /// </summary>
    public ImmutableArray<Extent> Quarantine(ReadOnlySpan<Extent> extents)
    {
        var held = ImmutableArray.CreateBuilder<Extent>();
        lock (_operations)
        {
            lock (_ledger.Gate)
            {
                foreach (var extent in extents)
                {
                    if (_mapped.Remove(extent, out var mapping))
                    {
                        _quarantined.Add(extent, mapping);
                        Account.MappedBytes -= mapping.ByteCount;
                        Account.QuarantinedBytes += mapping.ByteCount;
                        held.Add(extent);
                    }
                }
            }
        }

        return held.ToImmutable();
    }

    /// <summary>Tries again what the driver refused: to unmap, and to take memory back. What is only held back stays so.</summary>
    public RetryResult RetryQuarantined()
    {
        lock (_operations)
        {
            ImmutableArray<Extent> refused;
            List<ExtentMemory> stuck;
            lock (_ledger.Gate)
            {
                refused = [.. _quarantined.Values.Where(m => m.Failure is not null).Select(m => m.Extent)];
                stuck = [.. Account.Stuck];
                Account.Stuck.Clear();
                var stuckBytes = stuck.Sum(m => m.HeldBytes);
                Account.QuarantinedBytes -= stuckBytes;
                Account.PendingBytes += stuckBytes;
            }

            var before = HeldBytes;
            _store.ReleasePending(stuck, out _);
            var result = UnmapAll(refused.AsSpan(), keep: false);
            lock (_ledger.Gate)
            {
                return new RetryResult(result.Unmapped, result.Quarantined, before - HeldBytesUnderGate, Account.QuarantinedBytes);
            }
        }
    }

    private long HeldBytes
    {
        get
        {
            lock (_ledger.Gate)
            {
                return HeldBytesUnderGate;
            }
        }
    }

    private long HeldBytesUnderGate => Account.UsedBytes + Account.Stock.ByteCount;

    private UnmapResult UnmapAll(ReadOnlySpan<Extent> extents, bool keep, bool? isImported = null)
    {
        var start = _time.GetTimestamp();
        var unmapped = ImmutableArray.CreateBuilder<Extent>();
        var quarantined = ImmutableArray.CreateBuilder<QuarantinedExtent>();
        var notMapped = ImmutableArray.CreateBuilder<Extent>();
        var toRelease = new List<ExtentMemory>();
        foreach (var extent in extents)
        {
            ExtentMapping? mapping;
            lock (_ledger.Gate)
            {
                mapping = _mapped.GetValueOrDefault(extent) ?? _quarantined.GetValueOrDefault(extent);
            }

            // The same extent named twice is refused the second time: by then it is neither, or it failed a moment ago.
            if (mapping is null || quarantined.Any(q => q.Extent == extent))
            {
                notMapped.Add(extent);
                continue;
            }

            var failure = mapping.Unmap(_store.Memory, Layout, BaseAddress);
            lock (_ledger.Gate)
            {
                Withdraw(mapping);
                if (failure is null)
                {
                    _taken.Remove(extent);
                    unmapped.Add(extent);
                    mapping.Memory.LastExtent = extent;
                    mapping.Memory.IsImported = isImported ?? mapping.Memory.IsImported;
                    mapping.Memory.IsAskedBack = false;
                    Put(mapping.Memory, keep, toRelease);
                }
                else
                {
                    mapping.Failure = failure;
                    _quarantined.Add(extent, mapping);
                    Account.QuarantinedBytes += mapping.ByteCount;
                    quarantined.Add(mapping.ToQuarantined());
                }
            }
        }

        var pendingBytes = toRelease.Sum(m => m.HeldBytes);
        var releasedBytes = _store.ReleasePending(toRelease, out _);
        return new UnmapResult(
            unmapped.ToImmutable(), quarantined.ToImmutable(), notMapped.ToImmutable(), pendingBytes - releasedBytes, MicrosecondsSince(start));
    }

    /// <summary>Takes an extent off the books that it is on.</summary>
    private void Withdraw(ExtentMapping mapping)
    {
        if (_mapped.Remove(mapping.Extent))
        {
            Account.MappedBytes -= mapping.ByteCount;
        }
        else if (_quarantined.Remove(mapping.Extent))
        {
            Account.QuarantinedBytes -= mapping.ByteCount;
        }
    }

    /// <summary>Keeps memory, or counts it as pending and hands it on to be released; with it the oldest of what exceeds the limit.</summary>
    private void Put(ExtentMemory memory, bool keep, List<ExtentMemory> toRelease)
    {
        if (keep && !_isClosing)
        {
            Account.Kept.Add(memory, _time.GetTimestamp());
            while (Account.Kept.ByteCount > _options.MaxKeptBytesPerPool)
            {
                Dismiss(Account.Kept.Take(Account.Kept.Oldest!), toRelease);
            }
        }
        else
        {
            Dismiss(memory, toRelease);
        }
    }

    private void Dismiss(ExtentMemory memory, List<ExtentMemory> toRelease)
    {
        if (memory.IsImported)
        {
            Account.Wanted.Add(memory, _time.GetTimestamp());
            return;
        }

        Account.PendingBytes += memory.HeldBytes;
        toRelease.Add(memory);
    }
}
