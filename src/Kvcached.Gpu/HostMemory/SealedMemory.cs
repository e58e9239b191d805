using System.Runtime.InteropServices;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.HostMemory;

/// <summary>
/// A piece of main memory that is a file without a name, whose size is sealed: whoever maps it can't be made to fault by another
/// process that shrinks it.
/// </summary>
internal sealed class SealedMemory
{
    private const int SizeSeals = Libc.F_SEAL_SEAL | Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW;
    private const int WriteSeals = Libc.F_SEAL_WRITE | Libc.F_SEAL_FUTURE_WRITE;

    private SealedMemory(SafeFileHandle descriptor, long byteCount, bool isImported)
    {
        Descriptor = descriptor;
        ByteCount = byteCount;
        IsImported = isImported;
    }

    internal SafeFileHandle Descriptor { get; }

    internal long ByteCount { get; }

    internal bool IsImported { get; }

    /// <summary>Mappings of it in this process.</summary>
    internal int MappingCount { get; set; }

    /// <summary>True once its handle was released; it lives on while it is mapped.</summary>
    internal bool IsReleased { get; set; }

    /// <summary>New memory; null with the failing call and its code when the system refuses.</summary>
    internal static SealedMemory? TryCreate(long byteCount, bool isCommitted, out NativeFailure failure)
    {
        failure = default;
        var number = Libc.memfd_create("kvcached", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
        if (number < 0)
        {
            failure = NativeFailure.Last("memfd_create");
            return null;
        }

        if (!FileDescriptors.TryMoveHigh(new SafeFileHandle(number, ownsHandle: true), out var descriptor, out var problem))
        {
            failure = new NativeFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, problem.TrimEnd('.'));
            return null;
        }

        if (Libc.ftruncate(descriptor, byteCount) != 0)
        {
            failure = NativeFailure.Last("ftruncate");
        }
        else if (isCommitted && Libc.posix_fallocate(descriptor, 0, byteCount) is var error and not 0)
        {
            failure = NativeFailure.Of("posix_fallocate", error);
        }
        else if (Libc.fcntl(descriptor, Libc.F_ADD_SEALS, SizeSeals) != 0)
        {
            failure = NativeFailure.Last("fcntl(F_ADD_SEALS)");
        }
        else
        {
            return new SealedMemory(descriptor, byteCount, isImported: false);
        }

        descriptor.Dispose();
        return null;
    }

    /// <summary>Memory of another process; null unless its size is sealed, is the one expected, and it can be written.</summary>
    internal static SealedMemory? TryImport(SafeFileHandle offered, long byteCount, out NativeFailure failure)
    {
        var seals = Libc.fcntl(offered, Libc.F_GET_SEALS, 0);
        if (seals < 0 || (seals & SizeSeals) != SizeSeals || (seals & WriteSeals) != 0)
        {
            failure = new NativeFailure(
                "fcntl(F_GET_SEALS)", DriverCode.InvalidValue, "The file descriptor is no memory whose size, and nothing else, is sealed");
            return null;
        }

        var flags = Libc.fcntl(offered, Libc.F_GETFL, 0);
        if (flags < 0 || (flags & Libc.O_ACCMODE) != Libc.O_RDWR)
        {
            failure = new NativeFailure("fcntl(F_GETFL)", DriverCode.InvalidValue, "The file descriptor is not open for reading and writing");
            return null;
        }

        var size = Libc.lseek(offered, 0, Libc.SEEK_END);
        if (size != byteCount)
        {
            failure = new NativeFailure("lseek", DriverCode.InvalidValue, $"The memory has {size} bytes, not the expected {byteCount}");
            return null;
        }

        if (!FileDescriptors.TryDuplicateHigh(offered, out var own, out var problem))
        {
            failure = new NativeFailure("fcntl(F_DUPFD_CLOEXEC)", DriverCode.OperatingSystem, problem.TrimEnd('.'));
            return null;
        }

        failure = default;
        return new SealedMemory(own, byteCount, isImported: true);
    }
}

/// <summary>A system call that failed, in the driver's codes.</summary>
internal readonly record struct NativeFailure(string Call, DriverCode Code, string Detail)
{
    internal static NativeFailure Last(string call) => Of(call, Marshal.GetLastPInvokeError());

    internal static NativeFailure Of(string call, int error) =>
        new(call, error is Libc.ENOMEM or Libc.ENOSPC ? DriverCode.OutOfMemory : DriverCode.OperatingSystem, Marshal.GetPInvokeErrorMessage(error));
}
