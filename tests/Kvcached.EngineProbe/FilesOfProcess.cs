using System.Globalization;
using System.IO.MemoryMappedFiles;

namespace Kvcached.EngineProbe;

/// <summary>Files that another process has open, mapped here by themselves: through its descriptors, but with mappings of this process's own.</summary>
internal sealed class FilesOfProcess : IDisposable
{
    private readonly Dictionary<long, string> _paths = [];
    private readonly Dictionary<long, (MemoryMappedFile File, MemoryMappedViewAccessor View)> _mapped = [];

    public FilesOfProcess(long process)
    {
        foreach (var path in Directory.GetFiles($"/proc/{process}/fdinfo"))
        {
            if (TryReadInode(path) is { } inode)
            {
                _paths[inode] = $"/proc/{process}/fd/{Path.GetFileName(path)}";
            }
        }
    }

    /// <summary>All of the file with that inode, read-only.</summary>
    public MemoryMappedViewAccessor Map(long inode)
    {
        if (!_mapped.TryGetValue(inode, out var mapped))
        {
            var stream = new FileStream(_paths[inode], FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            var file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            mapped = (file, file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read));
            _mapped.Add(inode, mapped);
        }

        return mapped.View;
    }

    public void Dispose()
    {
        foreach (var (file, view) in _mapped.Values)
        {
            view.Dispose();
            file.Dispose();
        }
    }

    private static long? TryReadInode(string path)
    {
        try
        {
            var line = File.ReadLines(path).FirstOrDefault(line => line.StartsWith("ino:", StringComparison.Ordinal));
            return line is null ? null : long.Parse(line.AsSpan(4), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            // That process opens and closes other files meanwhile.
            return null;
        }
    }
}
