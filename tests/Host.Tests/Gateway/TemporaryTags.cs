using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>A file that stands for a scheduler's file of tags.</summary>
internal sealed partial class TemporaryTags : IDisposable
{
    public TemporaryTags(string text) => File.WriteAllText(Path, text);

    public string Path { get; } = System.IO.Path.GetTempFileName();

    public static string Read(SafeFileHandle file)
    {
        var bytes = new byte[RandomAccess.GetLength(file)];
        RandomAccess.Read(file, bytes, 0);
        return Encoding.UTF8.GetString(bytes);
    }

    public static SafeFileHandle OpenDirectory() => new(open("/", 0x80000), ownsHandle: true);

    public SafeFileHandle Open() => File.OpenHandle(Path, FileMode.Open, FileAccess.ReadWrite);

    public void Dispose() => File.Delete(Path);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);
}

/// <summary>Tests that count what this process has open run one after the other.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class DescriptorCounting
{
    public const string Name = nameof(DescriptorCounting);
}
