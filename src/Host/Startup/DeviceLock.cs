using Kvcached.Core.Ids;

namespace Kvcached.Host.Startup;

/// <summary>Held for the life of a host, so that a stopped host and its replacement can't both serve one device.</summary>
internal sealed class DeviceLock : IDisposable
{
    private const string LockDirectoryName = "locks";

    private readonly FileLock _lock;

    private DeviceLock(FileLock held, string path)
    {
        _lock = held;
        Path = path;
    }

    public string Path { get; }

    /// <summary>Locks a device for this process.</summary>
    /// <param name="userDirectory">The user's directory; the same for every host, whatever its run directory.</param>
    /// <param name="gpu">The device. A GPU is locked over all domains, host memory in its domain only.</param>
    /// <param name="domain">The domain.</param>
    public static StartResult<DeviceLock> Acquire(string userDirectory, GpuId gpu, string domain)
    {
        if (PrivateDirectory.Ensure(userDirectory).IsFailed(out var failure, out userDirectory)
            || PrivateDirectory.Ensure(System.IO.Path.Combine(userDirectory, LockDirectoryName)).IsFailed(out failure, out var directory))
        {
            return failure;
        }

        var path = System.IO.Path.Combine(directory, gpu.IsHostMemory ? $"{gpu}@{domain}.lock" : $"{gpu}.lock");
        return FileLock.Acquire(path, holder => new StartFailure(
                HostExitCode.DeviceLocked, $"{gpu} is served by {holder} already (lock file '{path}'); stop that host, or serve another device."))
            .IsFailed(out failure, out var held)
            ? failure
            : new DeviceLock(held, path);
    }

    public void Dispose() => _lock.Dispose();
}
