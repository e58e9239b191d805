using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Kvcached.Core.Ids;
using Kvcached.Host.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Startup;

/// <summary>
/// Held for the life of a host, so that a stopped host and its replacement can't both serve one device. Taken on the open file, so
/// that the kernel gives it up with the process, however that ends. The file stays: removing it would let a third process lock
/// a new file of that name while a second still waits on the old one.
/// </summary>
internal sealed class DeviceLock : IDisposable
{
    private const string LockDirectoryName = "locks";

    private const uint OwnerReadWrite = 0b110_000_000;

    private readonly SafeFileHandle _file;

    private DeviceLock(SafeFileHandle file, string path)
    {
        _file = file;
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

        // Not by File.OpenHandle, which takes a lock of its own and fails on one that another process holds.
        var file = Libc.open(path, Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC, OwnerReadWrite);
        if (file.IsInvalid)
        {
            return new StartFailure(HostExitCode.Failed, $"lock file '{path}' can't be opened: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        if (Libc.flock(file, Libc.LOCK_EX | Libc.LOCK_NB) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            var holder = ReadHolder(file);
            file.Dispose();
            return error == Libc.EWOULDBLOCK
                ? new StartFailure(HostExitCode.DeviceLocked, $"{gpu} is served by {holder} already (lock file '{path}'); stop that host, or serve another device.")
                : new StartFailure(HostExitCode.Failed, $"lock file '{path}' can't be locked: {Marshal.GetPInvokeErrorMessage(error)}");
        }

        RandomAccess.SetLength(file, 0);
        RandomAccess.Write(file, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)), 0);
        return new DeviceLock(file, path);
    }

    public void Dispose()
    {
        if (!_file.IsClosed)
        {
            RandomAccess.SetLength(_file, 0);
            _file.Dispose();
        }
    }

    private static string ReadHolder(SafeFileHandle file)
    {
        var buffer = new byte[16];
        var text = Encoding.ASCII.GetString(buffer, 0, RandomAccess.Read(file, buffer, 0));
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? $"process {pid}" : "another process";
    }
}
