using Kvcached.Actors.Ranks;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Devices;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Options;

namespace Kvcached.Host.Startup;

/// <summary>Opens the device that the options name and works out how much of it may be lent.</summary>
internal static class DeviceOpener
{
    /// <summary>What stays free on a GPU beside the tenth, for engines' contexts and the copier's.</summary>
    public const long ReservedBytes = 512 * ByteSize.MiB;

    private const int LentPercent = 90;

    public static StartResult<IVirtualMemory> Open(KvcachedHostOptions options) =>
        VirtualMemoryFactory.TryOpen(CreateRequest(options), out var memory, out var problem)
            ? new StartResult<IVirtualMemory>(WithFaults(memory, options), null)
            : new StartFailure(
                problem.Reason == GpuUnavailableReason.BadRequest ? HostExitCode.Usage : HostExitCode.NoGpu,
                $"no GPU for {Describe(options)}: {problem.Text} Without a GPU, lend main memory with --gpu none.");

    /// <summary>What the host may lend: as told, else by the device, in whole granules.</summary>
    public static StartResult<object> Capacity(KvcachedHostOptions options, IVirtualMemory memory, out long capacityBytes)
    {
        var wantedBytes = options.MemoryBytes ?? (memory.Backend == "cuda" ? (memory.TotalBytes / 100 * LentPercent) - ReservedBytes : memory.TotalBytes);
        capacityBytes = wantedBytes - (wantedBytes % memory.GranularityBytes);
        if (capacityBytes > 0 && capacityBytes <= memory.TotalBytes)
        {
            return new StartResult<object>(memory, null);
        }

        return new StartFailure(
            HostExitCode.Usage,
            $"{HostSettingCatalog.Memory}: {ByteSize.Format(wantedBytes)} can't be lent by {memory.Gpu}; allowed: "
            + $"{ByteSize.Format(memory.GranularityBytes)} to {ByteSize.Format(memory.TotalBytes)}.");
    }

    /// <summary>How the rank looks at what others use of its device; null = not at all.</summary>
    public static DeviceWatchSettings? Watch(KvcachedHostOptions options, IVirtualMemory memory, PagePool pool)
    {
        var isGpu = memory.Backend == "cuda";
        if (options.Headroom.IsOff || (options.Headroom.Bytes is null && options.ForeignMemoryFile is null && !isGpu))
        {
            return null;
        }

        IDeviceMeter meter = options.ForeignMemoryFile is { } path
            ? new PretendedDeviceMeter(path, memory.TotalBytes, () => pool.Snapshot().ExistingBytes)
            : isGpu ? new NvmlDeviceMeter(memory.Gpu) : new MainMemoryMeter();
        return new DeviceWatchSettings(meter, options.Headroom.Bytes ?? (isGpu ? ReservedBytes : 0), options.HeadroomCalm, TimeProvider.System);
    }

    private static IVirtualMemory WithFaults(IVirtualMemory memory, KvcachedHostOptions options)
    {
        if (options.Faults.IsEmpty)
        {
            return memory;
        }

        var failing = new FaultInjectingVirtualMemory(memory, TimeProvider.System);
        foreach (var fault in options.Faults)
        {
            _ = fault.Plan(failing);
        }

        return failing;
    }

    private static VirtualMemoryRequest CreateRequest(KvcachedHostOptions options) => new()
    {
        Backend = options.Backend,
        Gpu = options.Gpu switch
        {
            GpuChoice.HostMemory host => GpuId.Parse($"HOST-{host.Index}"),
            GpuChoice.ByUuid uuid => uuid.Gpu,
            _ => null,
        },
        Index = options.Gpu is GpuChoice.ByIndex index ? index.Index : null,
        Host = options.MemoryBytes is { } bytes ? new HostVirtualMemoryOptions { CapacityBytes = bytes } : new HostVirtualMemoryOptions(),
    };

    private static string Describe(KvcachedHostOptions options) => options.Gpu switch
    {
        GpuChoice.ByIndex index => $"--gpu {index.Index}",
        GpuChoice.ByUuid uuid => $"--gpu {uuid.Gpu}",
        _ => $"--backend {options.Backend.ToString().ToLowerInvariant()}",
    };
}
