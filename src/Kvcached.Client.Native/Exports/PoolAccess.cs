using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Kvcached.Client.Native.Exports;

/// <summary>What every call about a pool checks first.</summary>
internal static class PoolAccess
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryFind(ulong pool, int group, [NotNullWhen(true)] out OpenPool? target, out int failure)
    {
        target = Handles.Table.Find<OpenPool>(pool);
        failure = 0;
        return (target is not null && (uint)group < (uint)target.GroupCount) || Refuse(pool, group, target, out failure);
    }

    public static bool TryFindRange(
        ulong pool, int group, int firstPage, int pageCount, [NotNullWhen(true)] out OpenPool? target, out int failure)
    {
        if (!TryFind(pool, group, out target, out failure))
        {
            return false;
        }

        if (firstPage >= 0 && pageCount >= 1 && firstPage <= int.MaxValue - pageCount)
        {
            return true;
        }

        failure = Failure.Argument($"{pageCount} pages from page {firstPage} on are no range: pages count from 0, and a range has at least one.");
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Refuse(ulong pool, int group, OpenPool? target, out int failure)
    {
        failure = target is null
            ? Failure.BadHandle(pool, "pool")
            : Failure.Argument($"The pool has {target.GroupCount} KV groups, counted from 0; there is no group {group}.");
        return false;
    }
}
