using System.Diagnostics;
using System.Globalization;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Tests.Support;
using Kvcached.Host.Gateway;

namespace Kvcached.Host.Tests.Gateway;

/// <summary>Files of tags that a process keeps which is killed.</summary>
public sealed class TagCopiesTests : IDisposable
{
    private const uint UserId = 7;

    private static readonly PoolId Pool = PoolId.Create(3, 1);
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly ManualTime _time = new();
    private readonly TemporaryTags _tags = new("kept tags");
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-copies-").FullName;
    private readonly Process _holder;
    private readonly TagPlaces _places;
    private readonly TagCopies _copies;

    public TagCopiesTests()
    {
        _places = new TagPlaces(_directory);
        _copies = new TagCopies(maxFiles: 2, Window, _time, _places);
        _holder = Process.Start(new ProcessStartInfo("sh", ["-c", $"exec 7<>'{_tags.Path}'; echo ready; exec sleep 1000"]) { RedirectStandardOutput = true })!;
        Assert.Equal("ready", _holder.StandardOutput.ReadLine());
        using var file = _tags.Open();
        Assert.True(TagPlaces.TryLook(file, out var status));
        File.WriteAllText(PlacePath, new TagPlace(_holder.Id, 7, status.Inode, status.ByteCount, UserId).ToString());
    }

    private string PlacePath => Path.Combine(_directory, Pool.Value.ToString(CultureInfo.InvariantCulture));

    public void Dispose()
    {
        _copies.Dispose();
        Kill();
        _holder.Dispose();
        _tags.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_copy_should_be_found_when_the_holder_has_ended()
    {
        _copies.Update();
        Kill();
        using (var found = _places.Find(Pool, UserId, out var bytes))
        {
            Assert.Equal((9, "kept tags"), (bytes, TemporaryTags.Read(found!)));
        }

        Assert.Null(_places.Find(Pool, UserId + 1, out _));
        _copies.Update();
        _time.Advance(Window);
        _copies.Update();
        Assert.Equal(1, _copies.Count);
    }

    [Fact]
    public void Nothing_should_be_found_without_a_copy()
    {
        Kill();
        Assert.Null(_places.Find(Pool, UserId, out _));
        _copies.Update();
        Assert.Equal(0, _copies.Count);
    }

    [Fact]
    public void A_copy_should_end_with_the_window()
    {
        _copies.Update();
        Assert.Equal(1, _copies.Count);
        Kill();
        _copies.Update();
        _time.Advance(Window + TimeSpan.FromTicks(1));
        _copies.Update();
        Assert.Equal(0, _copies.Count);
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void A_copy_should_end_when_the_file_is_kept_no_more()
    {
        _copies.Update();
        Assert.Equal(2, Directory.GetFiles(_directory).Length);
        File.Delete(PlacePath);
        _copies.Update();
        Assert.Equal(0, _copies.Count);
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void A_later_file_of_the_pool_should_take_the_place_of_the_copy()
    {
        _copies.Update();
        using var later = new TemporaryTags("later");
        using var file = later.Open();
        _places.Note(Pool, file, UserId);
        _copies.Update();

        // This process keeps it itself, and needs no copy.
        Assert.Equal(0, _copies.Count);
        using var found = _places.Find(Pool, UserId, out _);
        Assert.Equal("later", TemporaryTags.Read(found!));
    }

    private void Kill()
    {
        _holder.Kill();
        _holder.WaitForExit();
    }
}
