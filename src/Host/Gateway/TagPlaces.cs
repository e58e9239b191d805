using System.Globalization;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Memory;
using Kvcached.Host.Native;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Gateway;

/// <summary>
/// Says in the run directory where each pool's file of tags is, so that a scheduler finds what its predecessor left with another host of the machine.
/// A file without a name can be opened by what its holder has of it, as long as that lives; that it is still that very file is seen by its inode. So that it outlives its
/// holder, other hosts keep copies (<see cref="TagCopies"/>), and say so beside it.
/// </summary>
/// <param name="directory">The directory of the domain's hosts, private to their user; null = nothing is said.</param>
internal sealed class TagPlaces(string? directory)
{
    /// <summary>Where a domain's hosts say it.</summary>
    public static string DirectoryOf(string runDirectory, string domain) => Path.Combine(runDirectory, $"tags@{domain}");

    /// <summary>Says that this process holds a pool's file. What can't be written is left out: a scheduler then finds no tags over other hosts.</summary>
    public void Note(PoolId pool, SafeFileHandle file, uint userId) => Write(NameOf(pool), file, userId);

    /// <summary>Says that this process has a copy of a descriptor that another one keeps.</summary>
    public void NoteCopy(PoolId pool, SafeFileHandle file, uint userId) => Write(NameOfCopy(pool, Environment.ProcessId), file, userId);

    /// <summary>This process has no copy any more.</summary>
    public void ForgetCopy(PoolId pool) => Delete(NameOfCopy(pool, Environment.ProcessId));

    /// <summary>The pools whose files are kept, with who keeps each.</summary>
    public IReadOnlyDictionary<PoolId, TagPlace> List()
    {
        var found = new Dictionary<PoolId, TagPlace>();
        foreach (var name in Names())
        {
            if (long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Read(name) is { } place)
            {
                found.Add(new PoolId(number), place);
            }
        }

        return found;
    }

    /// <summary>Nobody keeps that file any more, nor comes for it.</summary>
    public void Clear(PoolId pool, TagPlace place)
    {
        if (Read(NameOf(pool)) == place)
        {
            Delete(NameOf(pool));
        }
    }

    /// <summary>This process holds it no more; what another one has said since stays.</summary>
    public void Forget(PoolId pool, SafeFileHandle file)
    {
        if (Read(NameOf(pool)) is { } place && place.ProcessId == Environment.ProcessId && place.Descriptor == (long)file.DangerousGetHandle())
        {
            Delete(NameOf(pool));
        }
    }

    /// <summary>Opens the file that another process holds for a pool of that user, or a copy of it; null when there is none.</summary>
    public SafeFileHandle? Find(PoolId pool, uint userId, out long fileBytes)
    {
        fileBytes = 0;
        if (Read(NameOf(pool)) is not { } place || place.UserId != userId)
        {
            return null;
        }

        var copies = NameOfCopy(pool, null);
        var file = TryOpen(place) ?? Names().Where(name => name.StartsWith(copies, StringComparison.Ordinal)).Select(Read)
            .Where(copy => copy is not null && copy.Inode == place.Inode && copy.ByteCount == place.ByteCount).Select(copy => TryOpen(copy!)).FirstOrDefault(copy => copy is not null);
        fileBytes = file is null ? 0 : (long)place.ByteCount;
        return file;
    }

    /// <summary>Opens what a process says that it holds; null when it has ended, is in another process namespace, or holds another file there now.</summary>
    public static SafeFileHandle? TryOpen(TagPlace place)
    {
        using var opened = Libc.open(string.Create(CultureInfo.InvariantCulture, $"/proc/{place.ProcessId}/fd/{place.Descriptor}"), Libc.O_RDWR | Libc.O_CLOEXEC | Libc.O_NONBLOCK, 0);
        return !opened.IsInvalid && TryLook(opened, out var status) && status.Inode == place.Inode && status.ByteCount == place.ByteCount
            && FileDescriptors.TryDuplicateHigh(opened, out var file, out _)
            ? file
            : null;
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

    private static string NameOf(PoolId pool) => pool.Value.ToString(CultureInfo.InvariantCulture);

    private static string NameOfCopy(PoolId pool, int? processId) => string.Create(CultureInfo.InvariantCulture, $"{pool.Value}+{processId}");

    private void Write(string name, SafeFileHandle file, uint userId)
    {
        if (directory is null || !TryLook(file, out var status))
        {
            return;
        }

        try
        {
            Directory.CreateDirectory(directory);
            var path = Path.Combine(directory, name);
            var draft = string.Create(CultureInfo.InvariantCulture, $"{path}.{Environment.ProcessId}");
            File.WriteAllText(draft, new TagPlace(Environment.ProcessId, (long)file.DangerousGetHandle(), status.Inode, status.ByteCount, userId).ToString());
            File.Move(draft, path, overwrite: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return;
        }
    }

    private IEnumerable<string> Names()
    {
        try
        {
            return directory is null || !Directory.Exists(directory) ? [] : [.. Directory.EnumerateFiles(directory).Select(path => Path.GetFileName(path))];
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private TagPlace? Read(string name)
    {
        try
        {
            return directory is null ? null : TagPlace.Parse(File.ReadAllText(Path.Combine(directory, name)));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void Delete(string name)
    {
        try
        {
            if (directory is not null)
            {
                File.Delete(Path.Combine(directory, name));
            }
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // It names a descriptor that is closed now, which its reader notices.
            return;
        }
    }
}
