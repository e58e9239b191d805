using System.Runtime.InteropServices;
using Kvcached.Host.Startup;

namespace Kvcached.Host.Tests.Startup;

public sealed partial class PrivateDirectoryTests : IDisposable
{
    private const uint AnotherUser = 12345;

    private readonly DirectoryInfo _parent = Directory.CreateTempSubdirectory("kvcached-directory-tests-");

    public void Dispose() => _parent.Delete(recursive: true);

    [Fact]
    public void Ensure_NotThere_MakesItForTheUserAlone()
    {
        var path = Path.Combine(_parent.FullName, "a", "b");
        Assert.False(PrivateDirectory.Ensure(path).IsFailed(out _, out var made));
        Assert.Equal(path, made);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(path));
    }

    [Fact]
    public void Ensure_ThereAndPrivate_TakesIt() => Assert.False(PrivateDirectory.Ensure(_parent.FullName).IsFailed(out _, out _));

    [Fact]
    public void Ensure_OpenToOthers_Refuses()
    {
        File.SetUnixFileMode(_parent.FullName, File.GetUnixFileMode(_parent.FullName) | UnixFileMode.GroupExecute);
        AssertRefused(_parent.FullName, "mode 710");
    }

    [Fact]
    public void Ensure_AFile_Refuses()
    {
        var path = Path.Combine(_parent.FullName, "file");
        File.WriteAllText(path, string.Empty);
        AssertRefused(path, "no directory");
    }

    [Fact]
    public void Ensure_ALink_RefusesWhereverItLeads()
    {
        var link = Path.Combine(_parent.FullName, "link");
        Directory.CreateSymbolicLink(link, Directory.CreateDirectory(Path.Combine(_parent.FullName, "target"), UnixFileMode.UserRead).FullName);
        AssertRefused(link, "is a link");
        AssertRefused(link + "/", "is a link");
    }

    [Fact]
    public void Ensure_AnotherUsers_Refuses()
    {
        // Root owns what others can't be asked for here, and may give a directory away; others find root's.
        var path = "/proc/1/task";
        if (Environment.IsPrivilegedProcess)
        {
            path = Path.Combine(_parent.FullName, "given-away");
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            Assert.Equal(0, chown(path, AnotherUser, AnotherUser));
        }

        AssertRefused(path, "belongs to user");
    }

    [Fact]
    public void Ensure_ParentIsAFile_Refuses()
    {
        var file = Path.Combine(_parent.FullName, "file");
        File.WriteAllText(file, string.Empty);
        AssertRefused(Path.Combine(file, "below"), "can't be made");
    }

    private static void AssertRefused(string path, string why)
    {
        Assert.True(PrivateDirectory.Ensure(path).IsFailed(out var failure, out _));
        Assert.Equal(HostExitCode.UnsafeDirectory, failure.ExitCode);
        Assert.Contains(why, failure.Message, StringComparison.Ordinal);
        Assert.Contains("--run-dir", failure.Message, StringComparison.Ordinal);
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint owner, uint group);
}
