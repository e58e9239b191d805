using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Native.Exports;

/// <summary>Pools: opening, growing, giving back, closing; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class PoolExports
{
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_check_spec", CallConvs = [typeof(CallConvCdecl)])]
    public static int Check(AbiPoolSpec* spec)
    {
        try
        {
            var (read, status, problem) = SpecReader.Read(spec);
            return read is null ? Failure.Because(status, problem) : (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_open_pool", CallConvs = [typeof(CallConvCdecl)])]
    public static int Open(ulong session, AbiPoolSpec* spec, AbiPoolOptions* options, int timeoutMs, ulong* pool)
    {
        try
        {
            if (pool == null)
            {
                return Failure.NullPointer("pool");
            }

            if (Handles.Table.Find<OpenSession>(session) is not { } owner)
            {
                return Failure.BadHandle(session, "session");
            }

            var (read, status, problem) = SpecReader.Read(spec);
            if (read is null)
            {
                return Failure.Because(status, problem);
            }

            if (!OptionsReader.TryRead(options, out var readOptions, out var optionsProblem))
            {
                return Failure.Argument(optionsProblem);
            }

            if (timeoutMs < 0)
            {
                return Failure.NegativeTimeout(timeoutMs);
            }

            var opened = owner.Session.OpenPool(read, readOptions, TimeSpan.FromMilliseconds(timeoutMs));
            if (!opened.IsGranted)
            {
                return Failure.Because(opened.Refusal);
            }

            var handle = Handles.Table.Add(new OpenPool(opened.Value, owner));
            if (!owner.TryAdd(handle))
            {
                Handles.Table.Remove<OpenPool>(handle);
                opened.Value.Dispose();
                return Failure.BadHandle(session, "session");
            }

            *pool = handle;
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_state", CallConvs = [typeof(CallConvCdecl)])]
    public static int State(ulong pool)
    {
        try
        {
            return Handles.Table.Find<OpenPool>(pool) is not { } target ? Failure.BadHandle(pool, "pool")
                : target.Pool.Withdrawn is { } refusal ? Failure.Because(refusal)
                : (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_grow", CallConvs = [typeof(CallConvCdecl)])]
    public static int Grow(ulong pool, int group, int pageCount, int timeoutMs, int* grantedPages)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (pageCount < 1 || timeoutMs < 0)
            {
                return Failure.Argument($"Growing by {pageCount} pages within {timeoutMs} ms makes no sense: at least one page, and no negative time.");
            }

            var grown = target.Pool.Grow(group, pageCount, TimeSpan.FromMilliseconds(timeoutMs));
            if (!grown.IsGranted)
            {
                return Failure.Because(grown.Refusal);
            }

            if (grantedPages != null)
            {
                *grantedPages = grown.Value;
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_trim", CallConvs = [typeof(CallConvCdecl)])]
    public static int Trim(ulong pool, int group, int warmPagesToKeep, int timeoutMs, int* returnedPages)
    {
        try
        {
            if (!PoolAccess.TryFind(pool, group, out var target, out var failure))
            {
                return failure;
            }

            if (warmPagesToKeep < 0 || timeoutMs < 0)
            {
                return Failure.Argument($"Keeping {warmPagesToKeep} pages and waiting {timeoutMs} ms makes no sense: neither is negative.");
            }

            var trimmed = target.Pool.Trim(group, warmPagesToKeep, TimeSpan.FromMilliseconds(timeoutMs));
            if (!trimmed.IsGranted)
            {
                return Failure.Because(trimmed.Refusal);
            }

            if (returnedPages != null)
            {
                *returnedPages = trimmed.Value;
            }

            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_pin", CallConvs = [typeof(CallConvCdecl)])]
    public static int Pin(ulong pool, int group, int firstPage, int pageCount)
    {
        try
        {
            return !PoolAccess.TryFindRange(pool, group, firstPage, pageCount, out var target, out var failure) ? failure
                : target.Pool.Pin(group, new PageId(firstPage), pageCount) ? (int)Status.Ok
                : Failure.Because(Status.NotThere, $"Of pages {firstPage} to {firstPage + pageCount - 1} of group {group}, one isn't mapped; none was pinned.");
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_pool_unpin", CallConvs = [typeof(CallConvCdecl)])]
    public static int Unpin(ulong pool, int group, int firstPage, int pageCount)
    {
        try
        {
            return !PoolAccess.TryFindRange(pool, group, firstPage, pageCount, out var target, out var failure) ? failure
                : target.Pool.Unpin(group, new PageId(firstPage), pageCount) ? (int)Status.Ok
                : Failure.Because(Status.NotThere, $"Pages {firstPage} to {firstPage + pageCount - 1} of group {group} are not pinned as a range.");
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    /// <summary>Also what kvc_close_pool calls, with no step to wait for.</summary>
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_close_pool_after", CallConvs = [typeof(CallConvCdecl)])]
    public static int CloseAfter(ulong pool, long lastStep, int timeoutMs)
    {
        try
        {
            if (timeoutMs < 0)
            {
                return Failure.NegativeTimeout(timeoutMs);
            }

            if (Handles.Table.Remove<OpenPool>(pool) is not { } target)
            {
                return Failure.BadHandle(pool, "pool");
            }

            target.Session.Forget(pool);
            var refusal = target.Pool.Close(TimeSpan.FromMilliseconds(timeoutMs), new EngineStep(lastStep));
            target.Events.Close();
            return refusal is null ? (int)Status.Ok : Failure.Because(refusal);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }
}
