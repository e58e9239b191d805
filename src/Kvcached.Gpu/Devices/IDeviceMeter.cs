namespace Kvcached.Gpu.Devices;

/// <summary>Tells how much of a device's memory everyone uses together. May take a while, or hang with the driver: never asked where others wait.</summary>
public interface IDeviceMeter
{
    /// <summary>What is in use now. False, with what is wrong and what to do, when that can't be told.</summary>
    bool TryRead(out DeviceUse use, out string problem);
}

/// <param name="TotalBytes">What the device has.</param>
/// <param name="UsedBytes">What of it is in use by all processes and the driver.</param>
public readonly record struct DeviceUse(long TotalBytes, long UsedBytes);
