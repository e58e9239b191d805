using System.Collections.Immutable;
using System.Globalization;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>Turns the coordinator's description into what the management HTTP shows.</summary>
internal static class DomainViews
{
    public static PoolsView Pools(DomainProtocol.DomainDescription domain) => new(
        domain.Domain, domain.Epoch.Counter, domain.Epoch.NodeUid.ToString("x", CultureInfo.InvariantCulture), domain.ExpectedHosts,
        domain.IsRecovering, Counters(domain.Counters), [.. domain.Pools.Select(Pool)]);

    /// <param name="gpu">What the coordinator says.</param>
    /// <param name="local">What this host's ledger and driver say; null when the GPU is another host's.</param>
    public static GpuView Gpu(DomainProtocol.GpuDescription gpu, LocalGpuFacts? local) => new(
        gpu.Gpu.Value, gpu.Incarnation.Value.ToString("x", CultureInfo.InvariantCulture), gpu.Address, gpu.DeviceName, gpu.Backend,
        gpu.IsAvailable, gpu.CapacityBytes, gpu.UsedBytes, gpu.ReservedBytes, gpu.QuarantinedBytes, gpu.FreeBytes,
        local?.MappedBytes, local?.KeptBytes, local?.StockBytes, local?.QuarantinedBytes, local?.HandleCount, local?.FileDescriptorCount,
        local?.DeviceUsedBytes, local?.DeviceTotalBytes)
    {
        IsDraining = gpu.IsDraining,
        ForeignBytes = gpu.Device?.ForeignBytes,
        HeadroomBytes = gpu.Device?.HeadroomBytes,
        RoomBytes = gpu.Device?.RoomBytes,
        IsDeviceShort = gpu.IsDeviceShort,
    };

    private static PoolView Pool(DomainProtocol.PoolDescription pool) => new(
        pool.Pool.ToString(), pool.Name, pool.EngineName, pool.State, [.. pool.Gpus.Select(gpu => gpu.Value)], pool.MappedPageCount,
        pool.VirtualPageCount, pool.ExtentCount, pool.MappedBytes, pool.WarmBytes, pool.LimitBytes, pool.FloorBytes, pool.Weight,
        pool.Seq, pool.Digest)
    {
        Awaited = pool.Awaited,
        Revision = pool.Revision,
        OnGpus = OnGpus(pool.OnGpus),
    };

    public static LimitOutcomeView Outcome(OperatorProtocol.PolicyChanged changed) => new(
        changed.Pool.ToString(), changed.Name, changed.Outcome.ToString().ToLowerInvariant(), changed.Revision,
        changed.Policy?.Limit.ToString() ?? string.Empty, changed.Policy?.Floor.ToString() ?? string.Empty, changed.Policy?.Weight ?? 0,
        changed.KeptByHosts, changed.HostCount, OnGpus(changed.OnGpus));

    public static DrainView Drain(OperatorProtocol.GpuDrained drained) => new(
        drained.Gpu.Value, drained.IsDraining, drained.IsQuiet,
        [.. drained.Pools.Select(pool => new DrainedPoolView(pool.Name, pool.HeldBytes, pool.IsKept, pool.Awaited))]);

    private static IReadOnlyList<PoolOnGpuView> OnGpus(ImmutableArray<DomainProtocol.PoolOnGpu> accounts) =>
    [
        .. accounts.Select(on => new PoolOnGpuView(
            on.Gpu.Value, on.LimitBytes, on.FloorBytes, on.ShareBytes, on.UsedBytes, on.WarmBytes, on.ReservedBytes, on.QuarantinedBytes)),
    ];

    private static CountersView Counters(DomainProtocol.DomainCounters counters) => new(
        counters.Decisions, counters.Maps, counters.Unmaps, counters.Aborts, counters.Refusals, counters.Revokes,
        counters.DigestMismatches, counters.Quarantines, counters.MapMillisecondsP50, counters.MapMillisecondsP99,
        counters.UnmapMillisecondsP50);
}
