using System.Diagnostics.CodeAnalysis;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Native;

/// <summary>Makes options of what C code describes, where zero always means the default; or says what is wrong.</summary>
internal static unsafe class OptionsReader
{
    private const int MaxPathCharacters = 107;
    private const int MaxNameCharacters = 64;

    public static bool TryRead(
        AbiSessionOptions* from, [NotNullWhen(true)] out KvSessionOptions? options, [NotNullWhen(false)] out string? problem)
    {
        options = null;
        problem = from == null ? "'options' is a null pointer." : ProblemOfSize("kvc_session_options", from->StructBytes, sizeof(AbiSessionOptions));
        if (problem is not null
            || !AbiText.TryRead(from->SocketPath, "socket_path", MaxPathCharacters, out var socketPath, out problem)
            || !AbiText.TryRead(from->EngineName, "engine_name", MaxNameCharacters, out var engineName, out problem))
        {
            return false;
        }

        var defaults = new KvSessionOptions { SocketPath = socketPath, EngineName = engineName };
        var domain = defaults.Domain;
        if (from->Domain != null && !AbiText.TryRead(from->Domain, "domain", MaxNameCharacters, out domain, out problem))
        {
            return false;
        }

        problem = ProblemOfTime("connect_timeout_ms", from->ConnectTimeoutMs) ?? ProblemOfTime("close_timeout_ms", from->CloseTimeoutMs);
        options = defaults with
        {
            Domain = domain,
            ConnectTimeout = TimeOr(from->ConnectTimeoutMs, defaults.ConnectTimeout),
            CloseTimeout = TimeOr(from->CloseTimeoutMs, defaults.CloseTimeout),
        };
        return problem is null;
    }

    public static bool TryRead(AbiPoolOptions* from, [NotNullWhen(true)] out KvPoolOptions? options, [NotNullWhen(false)] out string? problem)
    {
        var defaults = new KvPoolOptions();
        options = defaults;
        problem = null;
        if (from == null)
        {
            return true;
        }

        problem = ProblemOfSize("kvc_pool_options", from->StructBytes, sizeof(AbiPoolOptions))
            ?? ProblemOfTime("growth_horizon_ms", from->GrowthHorizonMs)
            ?? (from->WarmDecayMs < -1 ? $"'warm_decay_ms' is {from->WarmDecayMs}; milliseconds, 0 for the default, -1 for never." : null)
            ?? (from->MinimumFreeBlocks < 0 ? "'minimum_free_blocks' is negative." : null)
            ?? (from->MaxGrowthPages < 0 ? "'max_growth_pages' is negative." : null)
            ?? (from->WarmPagesToKeep < 0 ? "'warm_pages_to_keep' is negative." : null)
            ?? (from->MaxCachedBytes < 0 ? "'max_cached_bytes' is negative." : null);
        if (problem is not null)
        {
            return false;
        }

        options = defaults with
        {
            IsGrowingAhead = from->NoGrowingAhead == 0,
            GrowthHorizon = TimeOr(from->GrowthHorizonMs, defaults.GrowthHorizon),
            MinimumFreeBlocks = from->MinimumFreeBlocks,
            MaxGrowthPages = from->MaxGrowthPages == 0 ? defaults.MaxGrowthPages : from->MaxGrowthPages,
            WarmDecay = from->WarmDecayMs == -1 ? Timeout.InfiniteTimeSpan : TimeOr(from->WarmDecayMs, defaults.WarmDecay),
            WarmPagesToKeep = from->WarmPagesToKeep,
            IsEvictingToAllocate = from->NoEvictingToAllocate == 0,
            IsGivingUpCached = from->NoGivingUpCached == 0,
            MaxCachedBytes = from->MaxCachedBytes,
            HasNullBlock = from->NoNullBlock == 0,
            IsKeepingTags = from->NoKeepingTags == 0,
        };
        return true;
    }

    public static bool TryRead(
        AbiAttachOptions* from, [NotNullWhen(true)] out KvAttachOptions? options, [NotNullWhen(false)] out string? problem)
    {
        options = null;
        problem = from == null ? "'options' is a null pointer." : ProblemOfSize("kvc_attach_options", from->StructBytes, sizeof(AbiAttachOptions));
        if (problem is not null
            || !AbiText.TryRead(from->SocketPath, "socket_path", MaxPathCharacters, out var socketPath, out problem)
            || !AbiText.TryRead(from->PoolName, "pool_name", MaxNameCharacters, out var poolName, out problem)
            || !AbiText.TryRead(from->Device, "device", GpuId.MaxLength, out var deviceText, out problem))
        {
            return false;
        }

        problem = !GpuId.TryParse(deviceText, out var device) ? $"'device' is '{deviceText}'; a GPU is named by its UUID (GPU-...), or HOST-n without one."
            : from->Rank < 0 ? $"'rank' is {from->Rank}; ranks count from 0."
            : !Enum.IsDefined((ArenaGuard)from->Guard) ? $"'guard' is {from->Guard}; KVC_GUARD_NONE or KVC_GUARD_ZERO."
            : ProblemOfTime("attach_timeout_ms", from->AttachTimeoutMs) ?? ProblemOfTime("reattach_timeout_ms", from->ReattachTimeoutMs)
                ?? ProblemOfTime("detach_timeout_ms", from->DetachTimeoutMs);
        var defaults = new KvAttachOptions { SocketPath = socketPath, PoolName = poolName, Rank = from->Rank, Device = device };
        options = defaults with
        {
            AttachTimeout = TimeOr(from->AttachTimeoutMs, defaults.AttachTimeout),
            ReattachTimeout = TimeOr(from->ReattachTimeoutMs, defaults.ReattachTimeout),
            DetachTimeout = TimeOr(from->DetachTimeoutMs, defaults.DetachTimeout),
            Guard = (ArenaGuard)from->Guard,
        };
        return problem is null;
    }

    private static TimeSpan TimeOr(int milliseconds, TimeSpan otherwise) => milliseconds == 0 ? otherwise : TimeSpan.FromMilliseconds(milliseconds);

    private static string? ProblemOfTime(string name, int milliseconds) =>
        milliseconds < 0 ? $"'{name}' is {milliseconds}; milliseconds, 0 for the default." : null;

    private static string? ProblemOfSize(string name, uint structBytes, int sizeHere) =>
        structBytes == (uint)sizeHere ? null : $"{name}.struct_bytes is {structBytes}; this library's has {sizeHere} bytes.";
}
