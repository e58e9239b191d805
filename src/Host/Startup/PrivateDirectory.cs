using Kvcached.Host.Native;

namespace Kvcached.Host.Startup;

/// <summary>Directories that only the user of this process can enter: they hold tokens, sockets and lock files.</summary>
internal static class PrivateDirectory
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const int OthersMask = 0b000_111_111;

    /// <summary>The user's directory for what lives as long as the session: <c>$XDG_RUNTIME_DIR/kvcached</c>, or <c>/tmp/kvcached-UID</c>.</summary>
    public static string DefaultPath()
    {
        var runtimeDirectory = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return Path.IsPathFullyQualified(runtimeDirectory ?? string.Empty)
            ? Path.Combine(runtimeDirectory!, "kvcached")
            : $"/tmp/kvcached-{Libc.geteuid()}";
    }

    /// <summary>Makes the directory if it isn't there, with mode 0700; refuses one that others own, can enter, or that is a link.</summary>
    /// <returns>Its full path.</returns>
    public static StartResult<string> Ensure(string path)
    {
        var fullPath = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        try
        {
            if (!Path.Exists(fullPath))
            {
                Directory.CreateDirectory(fullPath, OwnerOnly);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return Refused(fullPath, $"can't be made: {exception.Message}");
        }

        // Looked at after it was made and never through a link, so that nobody can slip another one in between.
        if (Libc.statx(Libc.AT_FDCWD, fullPath, Libc.AT_SYMLINK_NOFOLLOW, Libc.STATX_TYPE | Libc.STATX_MODE | Libc.STATX_UID, out var status) != 0)
        {
            return Refused(fullPath, "can't be looked at");
        }

        if ((status.Mode & Libc.S_IFMT) != Libc.S_IFDIR)
        {
            return Refused(fullPath, "is no directory, or is a link");
        }

        if (status.UserId != Libc.geteuid())
        {
            return Refused(fullPath, $"belongs to user {status.UserId}, not to {Libc.geteuid()}");
        }

        return (status.Mode & OthersMask) == 0
            ? fullPath
            : Refused(fullPath, $"is open to others (mode {Convert.ToString(status.Mode & 0xFFF, 8)}); chmod 700 it");
    }

    private static StartFailure Refused(string path, string why) => new(
        HostExitCode.UnsafeDirectory, $"directory '{path}' {why}; it must belong to this user alone, or name another with --run-dir.");
}
