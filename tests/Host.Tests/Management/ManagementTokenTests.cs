using Kvcached.Host.Management;
using Kvcached.Host.Startup;
using Kvcached.Host.Tests.Options;

namespace Kvcached.Host.Tests.Management;

/// <summary>A token that the operator gives, in place of one that is made at start.</summary>
public sealed class ManagementTokenTests
{
    private const string Given = "0123456789abcdef0123456789ABCDEF";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    [Fact]
    public void Create_FromAFile_TakesItsToken()
    {
        using var file = Write(Given + "\n", OwnerOnly);
        Assert.False(ManagementToken.Create(file.Path).IsFailed(out _, out var token));
        using (token)
        {
            Assert.True(token.IsShownBy($"Bearer {Given}"));
            Assert.False(token.IsShownBy($"Bearer {Given[1..]}"));
        }
    }

    [Fact]
    public void Create_ThroughALink_LooksAtTheFileItself()
    {
        using var file = Write(Given, OwnerOnly | UnixFileMode.OtherRead);
        var link = file.Path + ".link";
        File.CreateSymbolicLink(link, file.Path);
        try
        {
            Assert.True(ManagementToken.Create(link).IsFailed(out var failure, out _));
            Assert.Contains("others can read", failure.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(link);
        }
    }

    [Theory]
    [InlineData("short", "32 to 1024")]
    [InlineData("", "32 to 1024")]
    [InlineData("0123456789abcdef 0123456789abcdef", "without spaces")]
    [InlineData("0123456789abcdef\n0123456789abcdef", "without spaces")]
    [InlineData("0123456789abcdef0123456789abcdeé", "printable ASCII")]
    public void Create_FromAFileWithoutAToken_SaysWhatItMustBe(string text, string expected)
    {
        using var file = Write(text, OwnerOnly);
        Assert.True(ManagementToken.Create(file.Path).IsFailed(out var failure, out _));
        Assert.Equal(HostExitCode.Usage, failure.ExitCode);
        Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
        if (text.Length > 0)
        {
            Assert.DoesNotContain(text, failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Create_FromATooLongFile_IsRefused()
    {
        using var file = Write(new string('a', 1025), OwnerOnly);
        Assert.True(ManagementToken.Create(file.Path).IsFailed(out _, out _));
    }

    [Fact]
    public void Create_FromNoFile_NamesIt()
    {
        Assert.True(ManagementToken.Create("/nowhere/token").IsFailed(out var failure, out _));
        Assert.Contains("management-token: '/nowhere/token' can't be used", failure.Message, StringComparison.Ordinal);
    }

    private static TemporaryFile Write(string text, UnixFileMode mode)
    {
        var file = new TemporaryFile(text);
        File.SetUnixFileMode(file.Path, mode);
        return file;
    }
}
