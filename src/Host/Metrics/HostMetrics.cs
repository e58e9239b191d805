using System.Diagnostics.Metrics;
using Akka.Cluster;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;
using Kvcached.Core.Sharing;
using Kvcached.Host.Management;

namespace Kvcached.Host.Metrics;

/// <summary>
/// What a host reads when somebody looks: its own GPU with the pools on it, and its cluster. Each host tells of its GPU only, so that nothing is counted
/// twice over a domain.
/// </summary>
internal sealed class HostMetrics : IDisposable
{
    /// <summary>Pools that have series of their own, per host; what others hold is summed up.</summary>
    public const int MaxPools = 256;

    private const string OtherPools = "(others)";

    // Of this life of the host only: instruments can't be taken out of a meter, and the next life brings its own.
    private readonly Meter _meter = new(KvcachedMeter.Name);
    private readonly DomainSnapshot _snapshot;
    private readonly LocalGpuReader _local;
    private readonly ClusterReader _cluster;

    public HostMetrics(DomainSnapshot snapshot, LocalGpuReader local, ClusterReader cluster)
    {
        (_snapshot, _local, _cluster) = (snapshot, local, cluster);
        Bytes("kvcached_gpu_capacity", "What the GPU's host may lend.", () => OfGpu(gpu => gpu.CapacityBytes));
        Bytes("kvcached_gpu_used", "Mapped for pools.", () => OfGpu(gpu => gpu.UsedBytes));
        Bytes("kvcached_gpu_reserved", "Set aside for decisions in flight.", () => OfGpu(gpu => gpu.ReservedBytes));
        Bytes("kvcached_gpu_quarantined", "Given up but perhaps still mapped.", () => OfGpu(gpu => gpu.QuarantinedBytes));
        Bytes("kvcached_gpu_free", "Held by nobody.", () => OfGpu(gpu => gpu.FreeBytes));

        Bytes("kvcached_rank_mapped", "Physical memory mapped for pools, by the host's own ledger.", () => OfRank(rank => rank.MappedBytes));
        Bytes("kvcached_rank_kept", "Physical memory kept for its pools, not mapped.", () => OfRank(rank => rank.KeptBytes));
        Bytes("kvcached_rank_stock", "Physical memory created for floors.", () => OfRank(rank => rank.StockBytes));
        Count("kvcached_rank_handles", "Handles of physical memory.", () => OfRank(rank => rank.HandleCount));
        Count("kvcached_rank_file_descriptors", "File descriptors kept for handles.", () => OfRank(rank => rank.FileDescriptorCount));
        Bytes("kvcached_device_used", "In use on the device by everyone, as the driver says.", () => OfRank(rank => rank.DeviceUsedBytes));
        Bytes("kvcached_device_total", "What the device has.", () => OfRank(rank => rank.DeviceTotalBytes));

        Bytes("kvcached_device_foreign", "What others than pools use of the device, the greatest of late.", () => OfDevice(device => device.ForeignBytes));
        Bytes("kvcached_device_headroom", "What of the device is kept free besides.", () => OfDevice(device => device.HeadroomBytes));
        Bytes("kvcached_device_room", "What others leave to pools.", () => OfDevice(device => device.RoomBytes));
        Count("kvcached_device_short", "1 while pools hold or are promised more than others leave.", () => OfGpu(gpu => gpu.IsDeviceShort ? 1 : 0));

        Bytes("kvcached_pool_used", "Mapped for the pool, warm extents included.", () => OfPools(on => on.UsedBytes));
        Bytes("kvcached_pool_warm", "Of the used, what holds no used block.", () => OfPools(on => on.WarmBytes));
        Bytes("kvcached_pool_quarantined", "Given up by the pool, but perhaps still mapped.", () => OfPools(on => on.QuarantinedBytes));
        Bytes("kvcached_pool_limit", "What the pool may hold at most.", () => OfPools(on => on.LimitBytes));
        Bytes("kvcached_pool_floor", "What others leave to the pool.", () => OfPools(on => on.FloorBytes));
        Bytes("kvcached_pool_share", "What the pool comes down to when others want memory.", () => OfPools(on => on.ShareBytes));

        Count("kvcached_coordinator_epoch", "Epoch of the domain's coordinator.", () => Single(_snapshot.Last?.Epoch.Counter));
        Count("kvcached_domain_recovering", "1 while the coordinator doesn't know yet what every rank holds.", () => Single(_snapshot.Last is { } domain ? domain.IsRecovering ? 1 : 0 : null));
        Count("kvcached_domain_hosts", "Hosts of the domain that are up and can be reached.", () => Single(_cluster.CountReachableHosts()));
        Count("kvcached_domain_expected_hosts", "Hosts that the complete domain has.", () => Single(_snapshot.Last?.ExpectedHosts));
        Count("kvcached_host_up", "1 while this host is up in its cluster.", () => Single(_cluster.SelfStatus == MemberStatus.Up ? 1 : 0));
    }

    public void Dispose() => _meter.Dispose();

    private void Bytes(string name, string description, Func<IEnumerable<Measurement<long>>> read) => _meter.CreateObservableGauge(name, read, "By", description);

    private void Count(string name, string description, Func<IEnumerable<Measurement<long>>> read) => _meter.CreateObservableGauge(name, read, null, description);

    private IEnumerable<Measurement<long>> OfGpu(Func<DomainProtocol.GpuDescription, long> read) =>
        _snapshot.Last?.Gpus.Where(gpu => gpu.Gpu == _local.Gpu).Select(gpu => new Measurement<long>(read(gpu), GpuTag)) ?? [];

    private IEnumerable<Measurement<long>> OfDevice(Func<DeviceShare, long> read) =>
        _snapshot.Last?.Gpus.FirstOrDefault(gpu => gpu.Gpu == _local.Gpu)?.Device is { } device ? [new Measurement<long>(read(device), GpuTag)] : [];

    private IEnumerable<Measurement<long>> OfRank(Func<LocalGpuFacts, long?> read) =>
        read(_local.Read()) is { } value ? [new Measurement<long>(value, GpuTag)] : [];

    private IEnumerable<Measurement<long>> OfPools(Func<DomainProtocol.PoolOnGpu, long> read)
    {
        var held = (_snapshot.Last?.Pools ?? []).SelectMany(pool => pool.OnGpus.Where(on => on.Gpu == _local.Gpu).Select(on => (pool.Name, Value: read(on)))).ToArray();
        foreach (var (name, value) in held.Take(MaxPools))
        {
            yield return new Measurement<long>(value, GpuTag, PoolTag(name));
        }

        if (held.Length > MaxPools)
        {
            yield return new Measurement<long>(held.Skip(MaxPools).Sum(pool => pool.Value), GpuTag, PoolTag(OtherPools));
        }
    }

    private static IEnumerable<Measurement<long>> Single(long? value) => value is { } known ? [new Measurement<long>(known)] : [];

    private KeyValuePair<string, object?> GpuTag => new("gpu", _local.Gpu.Value);

    private static KeyValuePair<string, object?> PoolTag(string name) => new("pool", name);
}
