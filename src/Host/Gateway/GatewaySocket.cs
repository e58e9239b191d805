using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Native;
using Kvcached.Host.Options;
using Kvcached.Host.Startup;

namespace Kvcached.Host.Gateway;

/// <summary>
/// The host's socket file, from its making to its removal. A lock beside it says who serves it: what is at the path while nobody holds that lock was
/// left by a host that died, and is replaced.
/// </summary>
internal sealed class GatewaySocket : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OwnerAndGroup = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
    private const UnixFileMode Everybody = OwnerAndGroup | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    private static readonly TimeSpan ProbeTimeout = TimeSpan.FromMilliseconds(100);

    private readonly FileLock _lock;

    private GatewaySocket(FileLock held, UnixMessageListener listener, uint? group)
    {
        _lock = held;
        Listener = listener;
        Group = group;
    }

    public UnixMessageListener Listener { get; }

    public string Path => Listener.Path;

    /// <summary>Group whose users may connect; null = none.</summary>
    public uint? Group { get; }

    /// <summary>Where the socket is unless told: a GPU's by its UUID; that of host memory by its domain too, where that isn't the default one.</summary>
    public static string DefaultPath(string runDirectory, GpuId gpu, string domain, string defaultDomain) => System.IO.Path.Combine(
        runDirectory, gpu.IsHostMemory && domain != defaultDomain ? $"engine-{gpu}@{domain}.sock" : $"engine-{gpu}.sock");

    /// <summary>Makes the socket and listens. Its directory must be there.</summary>
    public static StartResult<GatewaySocket> Open(string path, GatewayOptions options)
    {
        uint? group = null;
        if (options.GroupName is { } name && (group = GroupFile.Find(name)) is null)
        {
            return new StartFailure(HostExitCode.Usage, $"{HostSettingCatalog.SocketGroup}: there is no group '{name}' on this machine.");
        }

        var fullPath = System.IO.Path.GetFullPath(path);
        if (!Directory.Exists(System.IO.Path.GetDirectoryName(fullPath)))
        {
            return Refused(fullPath, "is in a directory that isn't there; make it, or name another path");
        }

        if (FileLock.Acquire(fullPath + ".lock", holder => Refused(fullPath, $"is served by {holder} already; stop that host, or name another path"))
            .IsFailed(out var failure, out var held))
        {
            return failure.ExitCode == HostExitCode.Failed ? Refused(fullPath, $"can't be served: {failure.Message}") : failure;
        }

        if (RemoveStale(fullPath) is { } problem)
        {
            held.Dispose();
            return Refused(fullPath, problem);
        }

        // Users who are let in by name need a file that lets them in; who they are is seen when they connect.
        var mode = options.AllowedUsers.Count > 0 ? Everybody : group is null ? OwnerOnly : OwnerAndGroup;
        if (!UnixMessageListener.TryListen(fullPath, mode, group, out var listener, out problem))
        {
            held.Dispose();
            return Refused(fullPath, problem);
        }

        return new GatewaySocket(held, listener, group);
    }

    /// <summary>Removes the file, so that nobody connects any more, and lets the path go.</summary>
    public void Dispose()
    {
        try
        {
            File.Delete(Path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Its directory is gone or no longer writable. The next host finds a socket that nobody serves.
        }

        Listener.Dispose();
        _lock.Dispose();
    }

    private static string? RemoveStale(string path)
    {
        if (Libc.statx(Libc.AT_FDCWD, path, Libc.AT_SYMLINK_NOFOLLOW, Libc.STATX_TYPE, out var status) != 0)
        {
            return null;
        }

        if ((status.Mode & Libc.S_IFMT) != Libc.S_IFSOCK)
        {
            return "is there already and is no socket; remove it, or name another path";
        }

        // Not ours by the lock, but perhaps another program's.
        if (UnixMessageChannel.TryConnect(path, ProbeTimeout, out var channel, out var failure))
        {
            channel.Dispose();
            return "is served by another process; stop it, or name another path";
        }

        if (failure.Reason != ConnectFailureReason.Refused)
        {
            return $"is there already and can't be taken over: {failure.Text}";
        }

        try
        {
            File.Delete(path);
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"was left by a host that died and can't be removed: {exception.Message}";
        }
    }

    private static StartFailure Refused(string path, string why) =>
        new(HostExitCode.SocketUnusable, $"{HostSettingCatalog.Socket}: '{path}' {why.TrimEnd('.')}.");
}
