using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Kvcached.Gpu.Sockets;
using Kvcached.Host.Peers;

namespace Kvcached.Host.Tests.Peers;

/// <summary>Processes that are watched for their end, with real ones.</summary>
public sealed class PeerProcessesTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly List<Process> _children = [];
    private readonly List<UniqueAddress> _ended = [];
    private readonly SemaphoreSlim _told = new(0);
    private readonly PeerProcesses _processes;

    public PeerProcessesTests() => _processes = new PeerProcesses(
        peer =>
        {
            lock (_ended)
            {
                _ended.Add(peer);
            }

            _told.Release();
        },
        fault => Assert.Fail(fault.ToString()));

    public void Dispose()
    {
        _processes.Dispose();
        _told.Dispose();
        foreach (var child in _children)
        {
            child.Kill();
            child.WaitForExit();
            child.Dispose();
        }
    }

    [Fact]
    public async Task Watched_Killed_IsToldOnceAndNobodyElse()
    {
        var (first, second) = (Start(), Start());
        Assert.True(_processes.TryWatch(Peer(1), NoteOf(first)));
        Assert.True(_processes.TryWatch(Peer(2), NoteOf(second)));
        second.Kill();
        Assert.True(await _told.WaitAsync(Patience));
        first.Kill();
        Assert.True(await _told.WaitAsync(Patience));
        Assert.Equal([Peer(2), Peer(1)], _ended);
    }

    [Fact]
    public async Task Watched_Stopped_IsNotTakenForDead()
    {
        var (stopped, killed) = (Start(), Start());
        using var stop = Process.Start("kill", ["-STOP", stopped.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)])!;
        await stop.WaitForExitAsync();
        Assert.True(_processes.TryWatch(Peer(1), NoteOf(stopped)));
        Assert.True(_processes.TryWatch(Peer(2), NoteOf(killed)));
        killed.Kill();
        Assert.True(await _told.WaitAsync(Patience));
        Assert.Equal([Peer(2)], _ended);
    }

    [Fact]
    public async Task Forgotten_Killed_IsNotTold()
    {
        var (forgotten, later, other) = (Start(), Start(), Start());
        Assert.True(_processes.TryWatch(Peer(1), NoteOf(forgotten)));
        Assert.True(_processes.TryWatch(Peer(2), NoteOf(other)));
        _processes.Forget(Peer(1));

        // What is asked for later is done later: once this one's end is told, the first is forgotten.
        Assert.True(_processes.TryWatch(Peer(3), NoteOf(later)));
        later.Kill();
        Assert.True(await _told.WaitAsync(Patience));
        forgotten.Kill();
        await forgotten.WaitForExitAsync();
        other.Kill();
        Assert.True(await _told.WaitAsync(Patience));
        Assert.Equal([Peer(3), Peer(2)], _ended);
    }

    [Fact]
    public void TryWatch_AnotherProcessHasTheNumberNow_IsRefused()
    {
        var note = NoteOf(Start());
        Assert.False(_processes.TryWatch(Peer(1), note with { Process = note.Process with { StartTicks = note.Process.StartTicks - 1 } }));
        Assert.False(_processes.TryWatch(Peer(1), note with { Process = note.Process with { BootId = "another" } }));
    }

    [Fact]
    public void TryWatch_ProcessOfAnotherNamespace_IsRefused() =>
        Assert.False(_processes.TryWatch(Peer(1), NoteOf(Start()) with { ProcessNamespace = "pid:[1]" }));

    [Fact]
    public async Task TryWatch_ProcessHasEnded_IsRefused()
    {
        var child = Start();
        var note = NoteOf(child);
        child.Kill();
        await child.WaitForExitAsync();
        Assert.False(_processes.TryWatch(Peer(1), note));
    }

    private static UniqueAddress Peer(int number) => new(new Address("akka.tcp", "kvcached", "127.0.0.1", number), number);

    private static PeerNote NoteOf(Process process) => PeerNote.OfThisProcess(0) with { Process = ProcessIdentity.Of(process.Id) };

    private Process Start()
    {
        _children.Add(Process.Start("sleep", ["600"])!);
        return _children[^1];
    }
}
