using Akka.Actor;
using Akka.Cluster;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Peers;

namespace Kvcached.Host.Tests.Peers;

/// <summary>What hosts of one machine write down of themselves.</summary>
public sealed class PeerNotesTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-peers-").FullName;
    private readonly PeerNotes _notes;

    public PeerNotesTests() => _notes = PeerNotes.In(_directory, "blue");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void Write_ThisProcess_IsReadAsItAndFound(string host)
    {
        var self = Peer(host, 7);
        Assert.Null(_notes.Write(self));
        var note = _notes.Read(self);
        Assert.Equal(PeerNote.OfThisProcess(7), note);
        Assert.True(note!.IsVisible);
        Assert.True(note.IsAlive);
        _notes.Delete(self);
        Assert.Null(_notes.Read(self));
    }

    [Fact]
    public void Read_AnotherLifeOfThatAddress_IsNone()
    {
        Assert.Null(_notes.Write(Peer("127.0.0.1", 7)));
        Assert.Null(_notes.Read(Peer("127.0.0.1", 8)));
        _notes.Delete(Peer("127.0.0.1", 8));
        Assert.NotNull(_notes.Read(Peer("127.0.0.1", 7)));
    }

    [Fact]
    public void Write_NotesOfProcessesThatHaveEnded_AreTakenAway()
    {
        Assert.Null(_notes.Write(Peer("127.0.0.1", 7)));
        var stale = Path.Combine(_directory, "peers@blue", "127.0.0.1_9");
        var own = PeerNote.OfThisProcess(9);
        File.WriteAllText(stale, (own with { Process = own.Process with { StartTicks = 1 } }).ToString());
        Assert.Null(_notes.Write(Peer("127.0.0.1", 7)));
        Assert.False(File.Exists(stale));
        Assert.NotNull(_notes.Read(Peer("127.0.0.1", 7)));
    }

    [Fact]
    public void Write_DirectoryCannotBeMade_SaysWhy()
    {
        File.WriteAllText(Path.Combine(_directory, "peers@blue"), "a file");
        Assert.NotNull(_notes.Write(Peer("127.0.0.1", 7)));
        Assert.Null(_notes.Read(Peer("127.0.0.1", 7)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("1 2 3 boot")]
    [InlineData("1 2 3 boot pid:[1] more")]
    [InlineData("x 2 3 boot pid:[1]")]
    [InlineData("1 2 x boot pid:[1]")]
    [InlineData("1 2 3  pid:[1]")]
    public void Parse_NotANote_IsNone(string text) => Assert.Null(PeerNote.Parse(text));

    [Fact]
    public void Parse_ANote_IsWhatWasWritten()
    {
        var note = new PeerNote(-5, new ProcessIdentity(4, 77, "boot"), "pid:[1]");
        Assert.Equal(note, PeerNote.Parse(note.ToString()));
        Assert.False(note.IsAlive);
        Assert.False(note.IsVisible);
    }

    private static UniqueAddress Peer(string host, int uid) => new(new Address("akka.tcp", "kvcached", host, 8550), uid);
}
