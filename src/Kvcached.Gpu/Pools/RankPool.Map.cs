using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Pools;

public sealed partial class RankPool
{
    private enum MemorySource
    {
        Kept,
        Stock,
        Created,
        Adopted,
    }

    /// <summary>
    /// Backs and maps extents, all or none. Kept memory of this pool is used again, then that of its floor; the rest is created,
    /// and what anyone keeps makes room for it.
    /// </summary>
    public MapResult TryMap(ReadOnlySpan<Extent> extents)
    {
        lock (_operations)
        {
            return Run(extents, adoption: null);
        }
    }

    /// <summary>
    /// Takes over memory that outlived the host that created it, and maps it: from now on it is counted here, and lent again by the
    /// same descriptors.
    /// </summary>
    /// <param name="extent">The extent that the memory backs.</param>
    /// <param name="identity">Who created it; of the extent's generation.</param>
    /// <param name="descriptors">One per mapping unit in the order of units; they stay the caller's.</param>
    public MapResult TryAdopt(in Extent extent, ExtentIdentity identity, ReadOnlySpan<SafeFileHandle> descriptors)
    {
        lock (_operations)
        {
            return Run([extent], new Adoption(identity, descriptors.ToArray()));
        }
    }

    private MapResult Run(ReadOnlySpan<Extent> extents, Adoption? adoption)
    {
        var start = _time.GetTimestamp();
        List<Step> steps;
        List<ExtentMemory> toRelease;
        lock (_ledger.Gate)
        {
            if (Claim(extents, adoption) is { } refused)
            {
                return refused;
            }

            steps = Plan(extents, adoption, out var growthBytes);
            if (!_ledger.CanGrow(Account, growthBytes))
            {
                foreach (var step in steps)
                {
                    _taken.Remove(step.Extent);
                }

                return new MapResult.OutOfMemory(_ledger.Explain(Account, steps.Sum(s => s.ByteCount), isDeviceShort: false));
            }

            Commit(steps);
            toRelease = _ledger.ReclaimUntilFits();
            toRelease.AddRange(CapacityLedger.TakeExcessStock(Account));
        }

        var failure = MakeRoom(toRelease);
        lock (_ledger.Gate)
        {
            if (failure is null && !_ledger.IsWithinCapacity && _ledger.IsAwaitingWorkers)
            {
                GiveUp(steps);
                return new MapResult.AwaitsWorkers();
            }
        }

        return failure is null && Perform(steps, adoption, out failure)
            ? Finish(steps, start)
            : Undo(steps, failure);
    }

    /// <summary>Decides where each extent's memory comes from, without touching any.</summary>
    private List<Step> Plan(ReadOnlySpan<Extent> extents, Adoption? adoption, out long growthBytes)
    {
        var steps = new List<Step>(extents.Length);
        var planned = new Dictionary<(int Group, byte Order, MemorySource Source), int>();
        growthBytes = 0;
        foreach (var extent in extents)
        {
            var source = MemorySource.Created;
            if (adoption is not null)
            {
                source = MemorySource.Adopted;
            }
            else if (planned.GetValueOrDefault((extent.Group, extent.Order, MemorySource.Kept)) < Account.Kept.CountOf(extent.Group, extent.Order))
            {
                source = MemorySource.Kept;
            }
            else if (planned.GetValueOrDefault((extent.Group, extent.Order, MemorySource.Stock)) < Account.Stock.CountOf(extent.Group, extent.Order))
            {
                source = MemorySource.Stock;
            }

            planned[(extent.Group, extent.Order, source)] = planned.GetValueOrDefault((extent.Group, extent.Order, source)) + 1;
            var step = new Step(extent, source, Layout.BytesOf(extent));
            growthBytes = growthBytes > long.MaxValue - step.ByteCount ? long.MaxValue : growthBytes + step.ByteCount;
            steps.Add(step);
        }

        return steps;
    }

    /// <summary>Takes the planned memory off the shelves and counts the rest, so that no other request can have it.</summary>
    private void Commit(List<Step> steps)
    {
        foreach (var step in steps)
        {
            step.Memory = step.Source switch
            {
                MemorySource.Kept => Account.Kept.TakeNewest(step.Extent.Group, step.Extent.Order),
                MemorySource.Stock => Account.Stock.TakeNewest(step.Extent.Group, step.Extent.Order),
                _ => null,
            };
            Account.PendingBytes += step.ByteCount;
        }
    }

    /// <summary>Gives reclaimed memory back to the driver; the failure when it refuses so much that the request no longer fits.</summary>
    private DriverFailure? MakeRoom(List<ExtentMemory> toRelease)
    {
        DriverFailure? first = null;
        foreach (var memory in toRelease)
        {
            _store.Release(memory, out var refused);
            first ??= refused;
        }

        lock (_ledger.Gate)
        {
            return first is null || _ledger.IsWithinCapacity ? null : first;
        }
    }

    private bool Perform(List<Step> steps, Adoption? adoption, out DriverFailure? failure)
    {
        failure = null;
        foreach (var step in steps)
        {
            step.Memory ??= adoption is null
                ? CreateOrReclaim(step.Extent, out failure)
                : _store.TryAdopt(Account, Layout, step.Extent, adoption.Identity, adoption.Descriptors, out failure);
            if (step.Memory is null)
            {
                return false;
            }

            step.Mapping = new ExtentMapping(step.Extent, step.Memory);
            failure = IsMappedHere ? step.Mapping.Map(_store.Memory, Layout, BaseAddress) : null;
            if (failure is not null)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The device can be short though the capacity isn't, when something else uses it: then all that is kept goes first.</summary>
    private ExtentMemory? CreateOrReclaim(in Extent extent, out DriverFailure? failure)
    {
        var memory = _store.TryCreate(Account, Layout, extent, out failure);
        if (memory is not null || failure is not null)
        {
            return memory;
        }

        List<ExtentMemory> reclaimed;
        lock (_ledger.Gate)
        {
            reclaimed = _ledger.ReclaimAll();
            foreach (var kept in reclaimed)
            {
                kept.Owner.PendingBytes += kept.HeldBytes;
            }
        }

        return _store.ReleasePending(reclaimed, out _) > 0 ? _store.TryCreate(Account, Layout, extent, out failure) : null;
    }

    private MapResult.Mapped Finish(List<Step> steps, long start)
    {
        lock (_ledger.Gate)
        {
            foreach (var step in steps)
            {
                Account.PendingBytes -= step.ByteCount;
                Account.MappedBytes += step.ByteCount;
                _mapped.Add(step.Extent, step.Mapping!);
            }
        }

        var created = steps.Count(s => s.Source is MemorySource.Created);
        return new MapResult.Mapped(MicrosecondsSince(start), created, steps.Count - created);
    }

    /// <summary>Takes everything back, last first. What the driver won't take back is quarantined.</summary>
    private MapResult Undo(List<Step> steps, DriverFailure? failure)
    {
        var stuck = ImmutableArray.CreateBuilder<Extent>();
        for (var i = steps.Count - 1; i >= 0; i--)
        {
            var step = steps[i];
            var refused = step.Mapping?.Unmap(_store.Memory, Layout, BaseAddress);
            lock (_ledger.Gate)
            {
                if (refused is not null)
                {
                    step.Mapping!.Failure = refused;
                    stuck.Add(step.Extent);
                    Account.PendingBytes -= step.ByteCount;
                    Account.QuarantinedBytes += step.ByteCount;
                    _quarantined.Add(step.Extent, step.Mapping);
                    continue;
                }

                _taken.Remove(step.Extent);
                if (step.Memory is null || step.Source is MemorySource.Kept or MemorySource.Stock)
                {
                    Account.PendingBytes -= step.ByteCount;
                    Shelve(step);
                    continue;
                }
            }

            _store.ReleasePending([step.Memory], out _);
        }

        lock (_ledger.Gate)
        {
            if (failure is null && _ledger.IsAwaitingWorkers)
            {
                return new MapResult.AwaitsWorkers();
            }

            return failure is null
                ? new MapResult.OutOfMemory(_ledger.Explain(Account, steps.Sum(s => s.ByteCount), isDeviceShort: true))
                : new MapResult.DriverFailed(failure.Call, failure.Code, failure.Text, stuck.ToImmutable());
        }
    }

    /// <summary>Takes steps back of which none was begun.</summary>
    private void GiveUp(List<Step> steps)
    {
        foreach (var step in steps)
        {
            _taken.Remove(step.Extent);
            Account.PendingBytes -= step.ByteCount;
            Shelve(step);
        }
    }

    private void Shelve(Step step)
    {
        if (step.Memory is { } memory)
        {
            // Memory of the floor was mapped but shown to nobody, so it is still clean.
            var shelf = step.Source == MemorySource.Kept ? Account.Kept : Account.Stock;
            shelf.Add(memory, _time.GetTimestamp());
        }
    }

    private sealed record Adoption(ExtentIdentity Identity, SafeFileHandle[] Descriptors);

    private sealed class Step(Extent extent, MemorySource source, long byteCount)
    {
        internal Extent Extent => extent;

        internal MemorySource Source => source;

        internal long ByteCount => byteCount;

        internal ExtentMemory? Memory { get; set; }

        internal ExtentMapping? Mapping { get; set; }
    }
}
