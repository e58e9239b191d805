using Kvcached.Actors.Coordination;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>The epoch rises, whatever the disk and the ranks say.</summary>
public sealed class EpochStoreTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-epochs-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void TakeNext_Always_IsAboveTheDiskAndAboveWhatWasSeen()
    {
        var store = new EpochStore(_directory, "a");

        Assert.Equal(new Epoch(1, 7), store.TakeNext(7, default));
        Assert.Equal(new Epoch(2, 8), store.TakeNext(8, default));
        Assert.Equal(new Epoch(41, 8), store.TakeNext(8, new Epoch(40, 99)));
        Assert.Equal(new Epoch(42, 9), new EpochStore(_directory, "a").TakeNext(9, new Epoch(3, 1)));
        Assert.Equal(new Epoch(1, 9), new EpochStore(_directory, "b").TakeNext(9, default));
    }

    [Fact]
    public void TakeNext_FileIsReadableByItsOwnerOnly()
    {
        new EpochStore(_directory, "a").TakeNext(1, default);

        var file = Assert.Single(Directory.GetFiles(_directory));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Theory]
    [InlineData("")]
    [InlineData("-3")]
    [InlineData("seven")]
    public void TakeNext_FileThatHoldsNoNumber_IsNotOverwritten(string text)
    {
        var path = Path.Combine(_directory, "epoch-a");
        File.WriteAllText(path, text);

        var failure = Assert.Throws<IOException>(() => new EpochStore(_directory, "a").TakeNext(1, default));

        Assert.Contains(path, failure.Message, StringComparison.Ordinal);
        Assert.Equal(text, File.ReadAllText(path));
    }

    [Fact]
    public void TakeNext_DirectoryIsGone_SaysSo() =>
        Assert.ThrowsAny<IOException>(() => new EpochStore(Path.Combine(_directory, "gone"), "a").TakeNext(1, default));
}
