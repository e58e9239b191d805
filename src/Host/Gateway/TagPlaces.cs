using System.Globalization;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Memory;
using Kvcached.Host.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Says in the run directory where each pool's file of tags is, so that a scheduler finds what its predecessor left with another host of the machine.
/// A file without a name can be opened by what its holder has of it, as long as that lives; that it is still that very file is seen by its inode.
/// </summary>
/// <param name="directory">The directory of the domain's hosts, private to their user; null = nothing is said.</param>
internal sealed class TagPlaces(string? directory)
{
    /// <summary>Where a domain's hosts say it.</summary>
    public static string DirectoryOf(string runDirectory, string domain) => Path.Combine(runDirectory, $"tags@{domain}");

    /// <summary>Says that this process holds a pool's file. What can't be written is left out: a scheduler then finds no tags over other hosts.</summary>
    public void Note(PoolId pool, SafeFileHandle file, uint userId)
    {
        if (directory is null || !TryLook(file, out var status))
        {
            return;
        }

        try
        {
            Directory.CreateDirectory(directory);
            var path = PathOf(pool);
            var draft = $"{path}.{Environment.ProcessId}";
            File.WriteAllText(draft, new Place(Environment.ProcessId, (long)file.DangerousGetHandle(), status.Inode, status.ByteCount, userId).ToString());
            File.Move(draft, path, overwrite: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return;
        }
    }

    /// <summary>This process holds it no more; what another one has said since stays.</summary>
    public void Forget(PoolId pool, SafeFileHandle file)
    {
        if (Read(pool) is { } place && place.ProcessId == Environment.ProcessId && place.Descriptor == (long)file.DangerousGetHandle())
        {
            Delete(pool);
        }
    }

    /// <summary>Opens the file that another process holds for a pool of that user; null when there is none.</summary>
    public SafeFileHandle? Find(PoolId pool, uint userId, out long fileBytes)
    {
        fileBytes = 0;
        if (Read(pool) is not { } place || place.UserId != userId)
        {
            return null;
        }

        using var opened = Libc.open(string.Create(CultureInfo.InvariantCulture, $"/proc/{place.ProcessId}/fd/{place.Descriptor}"), Libc.O_RDWR | Libc.O_CLOEXEC | Libc.O_NONBLOCK, 0);
        if (opened.IsInvalid || !TryLook(opened, out var status) || status.Inode != place.Inode || status.ByteCount != place.ByteCount
            || !FileDescriptors.TryDuplicateHigh(opened, out var file, out _))
        {
            // Its holder has ended, or is in another process namespace.
            return null;
        }

        fileBytes = (long)place.ByteCount;
        return file;
    }

    /// <summary>What a descriptor is of; false unless it is a regular file. Looked at by its descriptor, which can't block as opening or reading may.</summary>
    public static bool TryLook(SafeFileHandle file, out FileStatus status)
    {
        var taken = false;
        try
        {
            file.DangerousAddRef(ref taken);
            return Libc.statx(
                    (int)file.DangerousGetHandle(), string.Empty, Libc.AT_EMPTY_PATH, Libc.STATX_TYPE | Libc.STATX_SIZE | Libc.STATX_INODE, out status) == 0
                && (status.Mode & Libc.S_IFMT) == Libc.S_IFREG && status.ByteCount <= long.MaxValue;
        }
        finally
        {
            if (taken)
            {
                file.DangerousRelease();
            }
        }
    }

    private string PathOf(PoolId pool) => Path.Combine(directory!, pool.Value.ToString(CultureInfo.InvariantCulture));

    private Place? Read(PoolId pool)
    {
        try
        {
            return directory is null ? null : Place.Parse(File.ReadAllText(PathOf(pool)));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void Delete(PoolId pool)
    {
        try
        {
            File.Delete(PathOf(pool));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // It names a descriptor that is closed now, which its reader notices.
            return;
        }
    }

    private sealed record Place(int ProcessId, long Descriptor, ulong Inode, ulong ByteCount, uint UserId)
    {
        public static Place? Parse(string text)
        {
            var words = text.Split(' ');
            return words.Length == 5 && int.TryParse(words[0], CultureInfo.InvariantCulture, out var process)
                && long.TryParse(words[1], CultureInfo.InvariantCulture, out var descriptor) && ulong.TryParse(words[2], CultureInfo.InvariantCulture, out var inode)
                && ulong.TryParse(words[3], CultureInfo.InvariantCulture, out var bytes) && uint.TryParse(words[4], CultureInfo.InvariantCulture, out var user)
                ? new Place(process, descriptor, inode, bytes, user)
                : null;
        }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{ProcessId} {Descriptor} {Inode} {ByteCount} {UserId}");
    }
}
