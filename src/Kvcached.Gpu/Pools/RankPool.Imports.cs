using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Gpu.Pools;

/// <content>Kept memory that the pool's worker has imported: it maps again without importing anew, but is gone only once the worker has let go of it.</content>
public sealed partial class RankPool
{
    /// <summary>True while the worker may have memory imported that isn't mapped.</summary>
    public bool HasImports
    {
        get
        {
            lock (_ledger.Gate)
            {
                return Account.Wanted.ByteCount > 0 || Account.Kept.All.Any(m => m.IsImported);
            }
        }
    }

    /// <summary>
    /// Memory that the worker is to let go of, with the extents that it backed last; what was taken once isn't given again. Its bytes count until
    /// <see cref="LetGo"/>.
    /// </summary>
    public ImmutableArray<(Extent Extent, ExtentIdentity Identity)> TakeWanted()
    {
        lock (_ledger.Gate)
        {
            if (Account.Wanted.ByteCount == 0)
            {
                return [];
            }

            var wanted = ImmutableArray.CreateBuilder<(Extent, ExtentIdentity)>();
            foreach (var memory in Account.Wanted.All.Where(m => !m.IsAskedBack))
            {
                memory.IsAskedBack = true;
                wanted.Add((memory.LastExtent, new ExtentIdentity(memory.Creator, memory.Serial, memory.LastExtent.Generation)));
            }

            return wanted.ToImmutable();
        }
    }

    /// <summary>The worker has let go of this memory: what was wanted back is released, what is kept stays so. Returns the bytes released.</summary>
    public long LetGo(ReadOnlySpan<ExtentIdentity> memories)
    {
        var known = memories.ToArray().Select(i => (i.Creator, i.Serial)).ToHashSet();
        return LetGoWhere(m => known.Contains((m.Creator, m.Serial)));
    }

    /// <summary>The worker has nothing imported any more but what it has mapped: it is dead, has left, or begins anew.</summary>
    public long LetGoOfAll() => LetGoWhere(_ => true);

    /// <summary>The worker couldn't let go of this: it is given by <see cref="TakeWanted"/> again.</summary>
    public void WantAgain(ReadOnlySpan<ExtentIdentity> memories)
    {
        var known = memories.ToArray().Select(i => (i.Creator, i.Serial)).ToHashSet();
        lock (_ledger.Gate)
        {
            foreach (var memory in Account.Wanted.All.Where(m => known.Contains((m.Creator, m.Serial))))
            {
                memory.IsAskedBack = false;
            }
        }
    }

    /// <summary>The worker is about to map these: what it had imported of them goes into its mappings.</summary>
    public void Lent(ReadOnlySpan<Extent> extents)
    {
        lock (_ledger.Gate)
        {
            foreach (var extent in extents)
            {
                if (_mapped.TryGetValue(extent, out var mapping))
                {
                    mapping.Memory.IsImported = false;
                }
            }
        }
    }

    private long LetGoWhere(Func<ExtentMemory, bool> isMeant)
    {
        var toRelease = new List<ExtentMemory>();
        lock (_ledger.Gate)
        {
            foreach (var memory in Account.Kept.All.Concat(_mapped.Values.Select(m => m.Memory)).Where(isMeant))
            {
                memory.IsImported = false;
            }

            foreach (var memory in Account.Wanted.All.Where(isMeant).ToArray())
            {
                memory.IsImported = false;
                Dismiss(Account.Wanted.Take(memory), toRelease);
            }
        }

        return _store.ReleasePending(toRelease, out _);
    }
}
