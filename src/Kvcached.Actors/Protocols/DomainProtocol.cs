using System.Collections.Immutable;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Protocols;

/// <summary>What management asks of the coordinator: a picture of the whole domain, for people and tools; <see cref="OperatorProtocol"/> changes it.</summary>
public static class DomainProtocol
{
    /// <summary>Reply: <see cref="DomainDescription"/>.</summary>
    public sealed record DescribeDomain
    {
        public static DescribeDomain Instance { get; } = new();
    }

    /// <param name="Domain">Name of the domain.</param>
    /// <param name="Epoch">The coordinator's epoch.</param>
    /// <param name="ExpectedHosts">Hosts that the domain is said to have.</param>
    /// <param name="IsRecovering">True until the coordinator knows what every rank holds.</param>
    /// <param name="Gpus">Every GPU that has registered.</param>
    /// <param name="Pools">Every open pool.</param>
    /// <param name="Counters">What has been decided since this coordinator took over.</param>
    public sealed record DomainDescription(
        string Domain, Epoch Epoch, int ExpectedHosts, bool IsRecovering,
        ImmutableArray<GpuDescription> Gpus, ImmutableArray<PoolDescription> Pools, DomainCounters Counters);

    /// <param name="Gpu">The GPU.</param>
    /// <param name="Incarnation">The life of its host.</param>
    /// <param name="Address">Cluster address of its host.</param>
    /// <param name="DeviceName">For people.</param>
    /// <param name="Backend"><c>cuda</c> or <c>host</c>.</param>
    /// <param name="IsAvailable">True when it may take part in grants.</param>
    /// <param name="CapacityBytes">What it may lend.</param>
    /// <param name="UsedBytes">Mapped for pools.</param>
    /// <param name="ReservedBytes">Set aside for decisions in flight.</param>
    /// <param name="QuarantinedBytes">Given up but not unmapped yet.</param>
    /// <param name="FreeBytes">What is left.</param>
    public sealed record GpuDescription(
        GpuId Gpu, HostIncarnation Incarnation, string Address, string DeviceName, string Backend, bool IsAvailable,
        long CapacityBytes, long UsedBytes, long ReservedBytes, long QuarantinedBytes, long FreeBytes)
    {
        /// <summary>True while an operator has it drained: nothing new is lent there.</summary>
        public bool IsDraining { get; init; }

        /// <summary>How the device is shared with others; null = nobody looks.</summary>
        public DeviceShare? Device { get; init; }

        /// <summary>True while pools hold or are promised more than others leave: nothing is lent beyond floors.</summary>
        public bool IsDeviceShort { get; init; }
    }

    /// <param name="Pool">The pool.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="EngineName">Who opened it.</param>
    /// <param name="State"><c>opening</c>, <c>reopening</c>, <c>recovering</c>, <c>ready</c>, <c>stopped</c>, <c>stranded</c> (a host ended and is awaited), <c>lost</c> (its engine is to close it), <c>closing</c>, or <c>orphaned</c> while another session may take it over.</param>
    /// <param name="Gpus">Its GPUs in rank order.</param>
    /// <param name="MappedPageCount">Pages mapped on every rank.</param>
    /// <param name="VirtualPageCount">Pages that it has room for.</param>
    /// <param name="ExtentCount">Extents mapped on every rank.</param>
    /// <param name="MappedBytes">Bytes mapped, per rank.</param>
    /// <param name="WarmBytes">Of these, bytes of extents with no used block, as its engine last said, per rank.</param>
    /// <param name="LimitBytes">Limit per GPU; the smallest, where a percentage makes them differ.</param>
    /// <param name="FloorBytes">Floor per GPU; the smallest, where a percentage makes them differ.</param>
    /// <param name="Weight">Weight.</param>
    /// <param name="Seq">Last decision.</param>
    /// <param name="Digest">Digest of its table, as 32 hexadecimal digits.</param>
    public sealed record PoolDescription(
        PoolId Pool, string Name, string EngineName, string State, ImmutableArray<GpuId> Gpus, int MappedPageCount, long VirtualPageCount,
        int ExtentCount, ImmutableArray<long> MappedBytes, ImmutableArray<long> WarmBytes, long LimitBytes, long FloorBytes, int Weight, long Seq, string Digest)
    {
        /// <summary>For people: whom or what it waits for while it grants nothing, and how long; empty when it doesn't.</summary>
        public string Awaited { get; init; } = string.Empty;

        /// <summary>Number of the last change by an operator; 0 = none, its engine's wishes count.</summary>
        public long Revision { get; init; }

        /// <summary>The same per GPU, in rank order; a GPU whose host is away is left out.</summary>
        public ImmutableArray<PoolOnGpu> OnGpus { get; init; } = [];
    }

    /// <summary>A pool's account on one of its GPUs, in bytes.</summary>
    /// <param name="Gpu">The GPU.</param>
    /// <param name="LimitBytes">What it may hold there at most.</param>
    /// <param name="FloorBytes">What others leave to it.</param>
    /// <param name="ShareBytes">What it comes down to when others want memory.</param>
    /// <param name="UsedBytes">Granted and mapped, warm extents included.</param>
    /// <param name="WarmBytes">Of the used, what holds no used block, as its engine last said.</param>
    /// <param name="ReservedBytes">Set aside for a grant under way.</param>
    /// <param name="QuarantinedBytes">Given up but not unmapped yet.</param>
    public sealed record PoolOnGpu(
        GpuId Gpu, long LimitBytes, long FloorBytes, long ShareBytes, long UsedBytes, long WarmBytes, long ReservedBytes, long QuarantinedBytes)
    {
        public long HeldBytes => UsedBytes + ReservedBytes + QuarantinedBytes;
    }

    /// <param name="Decisions">Decisions sent.</param>
    /// <param name="Maps">Map decisions granted.</param>
    /// <param name="Unmaps">Unmap decisions completed.</param>
    /// <param name="Aborts">Maps undone.</param>
    /// <param name="Refusals">Requests refused.</param>
    /// <param name="Revokes">Extents asked back.</param>
    /// <param name="DigestMismatches">Answers whose digest wasn't the expected one.</param>
    /// <param name="Quarantines">Extents that could not be unmapped in time.</param>
    /// <param name="MapMillisecondsP50">Median time from request to grant of recent maps, 0 without any.</param>
    /// <param name="MapMillisecondsP99">99th percentile of the same.</param>
    /// <param name="UnmapMillisecondsP50">Median time of recent unmaps.</param>
    public sealed record DomainCounters(
        long Decisions, long Maps, long Unmaps, long Aborts, long Refusals, long Revokes, long DigestMismatches, long Quarantines,
        double MapMillisecondsP50, double MapMillisecondsP99, double UnmapMillisecondsP50);
}
