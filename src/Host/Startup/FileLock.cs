using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Kvcached.Host.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Startup;

/// <summary>
/// A lock on an open file, so that the kernel gives it up with the process, however that ends. The file says who holds it, and stays: removing it would
/// let a third process lock a new file of that name while a second still waits on the old one.
/// </summary>
internal sealed class FileLock : IDisposable
{
    private const uint OwnerReadWrite = 0b110_000_000;

    private readonly SafeFileHandle _file;

    private FileLock(SafeFileHandle file) => _file = file;

    /// <summary>Locks a file for this process, making it if it isn't there.</summary>
    /// <param name="path">The file.</param>
    /// <param name="onHeld">The failure when another process holds it, told as <c>process N</c>.</param>
    public static StartResult<FileLock> Acquire(string path, Func<string, StartFailure> onHeld)
    {
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
                ? onHeld(holder)
                : new StartFailure(HostExitCode.Failed, $"lock file '{path}' can't be locked: {Marshal.GetPInvokeErrorMessage(error)}");
        }

        RandomAccess.SetLength(file, 0);
        RandomAccess.Write(file, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)), 0);
        return new FileLock(file);
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
