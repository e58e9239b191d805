using System.Runtime.InteropServices;

namespace Kvcached.Client.Native.Abi;

// What the caller fills, as kvcached.h has it. A test compares sizes and offsets with those of the C compiler.

/// <summary><c>kvc_session_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AbiSessionOptions
{
    public uint StructBytes;
    public int ConnectTimeoutMs;
    public byte* SocketPath;
    public byte* EngineName;
    public byte* Domain;
    public int CloseTimeoutMs;
    public int Reserved;
}

/// <summary><c>kvc_group_spec</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AbiGroupSpec
{
    public byte* Name;
    public int Kind;
    public int TokensPerBlock;
    public int LayerCount;
    public int BufferCount;
    public long BlockBytes;
    public long PageBytes;
    public int VirtualPageCount;
    public int Reserved;
}

/// <summary><c>kvc_pool_spec</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AbiPoolSpec
{
    public uint StructBytes;
    public int Layout;
    public byte* Name;
    public AbiGroupSpec* Groups;
    public byte** Gpus;
    public int* RankLayers;
    public int GroupCount;
    public int RankCount;
    public int LayersPerMapping;
    public int Target;
    public long LimitBytes;
    public long FloorBytes;
    public int Weight;
    public int Reserved;
}

/// <summary><c>kvc_pool_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AbiPoolOptions
{
    public uint StructBytes;
    public int NoGrowingAhead;
    public int GrowthHorizonMs;
    public int MinimumFreeBlocks;
    public int MaxGrowthPages;
    public int WarmDecayMs;
    public int WarmPagesToKeep;
    public int NoEvictingToAllocate;
    public int NoGivingUpCached;
    public int NoNullBlock;
    public int NoKeepingTags;
    public int Reserved;
    public long MaxCachedBytes;
}

/// <summary><c>kvc_attach_options</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AbiAttachOptions
{
    public uint StructBytes;
    public int Rank;
    public byte* SocketPath;
    public byte* PoolName;
    public byte* Device;
    public int AttachTimeoutMs;
    public int ReattachTimeoutMs;
    public int DetachTimeoutMs;
    public int Guard;
}
