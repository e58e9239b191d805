using Kvcached.Host.Startup;

namespace Kvcached.Host.Tests.Startup;

public sealed class PrivateDirectoryTests : IDisposable
{
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

    [SkippableFact]
    public void Ensure_AnotherUsers_Refuses()
    {
        const string others = "/proc/1/task";
        Skip.If(Environment.IsPrivilegedProcess, "Root's processes own what others' do not, so that there is nothing to refuse.");
        AssertRefused(others, "belongs to user");
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
}
