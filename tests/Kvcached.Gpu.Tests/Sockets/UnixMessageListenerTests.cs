using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Sockets;
using Kvcached.Gpu.Tests.Support;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Tests.Sockets;

public sealed partial class UnixMessageListenerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-sockets-");
    private readonly List<SafeFileHandle> _received = [];

    private string SocketPath => Path.Combine(_directory.FullName, "engine.sock");

    [Fact]
    public void Connect_ToAListener_SendsBothWaysAndSaysWhoConnected()
    {
        using var listener = Listen();
        using var client = Connect();
        using var server = Accept(listener);

        Assert.True(PeerCredentials.TryRead(server.Socket, out var peer));
        Assert.Equal((Environment.ProcessId, geteuid()), (peer.ProcessId, peer.UserId));
        Assert.True(peer.IsInGroup(server.Socket, peer.GroupId));
        Assert.False(peer.IsInGroup(server.Socket, uint.MaxValue - 1));

        var buffer = new byte[10];
        Assert.Equal(ReceiveStatus.Nothing, server.TryReceive(buffer, out _, _received));
        Assert.Equal(SendStatus.Sent, client.TrySend([1, 2], default));
        Assert.Equal(ReceiveStatus.Message, server.TryReceive(buffer, out var length, _received));
        Assert.Equal([1, 2], buffer[..length]);
        Assert.Equal(SendStatus.Sent, server.TrySend([3], default));
        Assert.Equal(ReceiveStatus.Message, client.Receive(buffer, out length, _received));
        Assert.Equal([3], buffer[..length]);
    }

    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite)]
    public void Listen_WithAMode_MakesAFileOfThatModeWhateverTheMask(UnixFileMode mode)
    {
        Assert.True(UnixMessageListener.TryListen(SocketPath, mode, null, out var listener, out var problem), problem);
        using (listener)
        {
            Assert.Equal(mode, File.GetUnixFileMode(SocketPath));
        }
    }

    [Fact]
    public void Listen_WhereSomethingIs_IsRefusedAndLeavesIt()
    {
        File.WriteAllText(SocketPath, "mine");

        Assert.False(UnixMessageListener.TryListen(SocketPath, UnixFileMode.UserRead, null, out _, out var problem));
        Assert.Equal("is there already", problem);
        Assert.Equal("mine", File.ReadAllText(SocketPath));
    }

    [Fact]
    public void Listen_PathTooLong_IsRefused()
    {
        Assert.False(UnixMessageListener.TryListen("/" + new string('x', 107), UnixFileMode.UserRead, null, out _, out var problem));
        Assert.Contains("107 bytes", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Accept_NobodyWaits_SaysSo()
    {
        var listener = Listen();
        Assert.Equal(AcceptStatus.Nothing, listener.TryAccept(out _));
        listener.Dispose();
        Assert.Equal(AcceptStatus.Closed, listener.TryAccept(out _));
    }

    [Fact]
    public void Connect_WhereNobodyListens_SaysWhy()
    {
        AssertRefused(ConnectFailureReason.NoSuchFile, SocketPath);
        AssertRefused(ConnectFailureReason.NoSuchFile, Path.Combine(typeof(UnixMessageListenerTests).Assembly.Location, "below"));
        AssertRefused(ConnectFailureReason.BadPath, "");
        AssertRefused(ConnectFailureReason.BadPath, "a\0b");
        AssertRefused(ConnectFailureReason.BadPath, new string('x', 108));
        AssertRefused(ConnectFailureReason.NotASocket, _directory.FullName);
        AssertRefused(ConnectFailureReason.NotASocket, typeof(UnixMessageListenerTests).Assembly.Location);

        Listen().Dispose();
        AssertRefused(ConnectFailureReason.Refused, SocketPath);

        using var stream = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        var other = Path.Combine(_directory.FullName, "stream.sock");
        stream.Bind(new UnixDomainSocketEndPoint(other));
        stream.Listen();
        AssertRefused(ConnectFailureReason.NotASocket, other);
    }

    [SkippableFact]
    public void Connect_NoPermission_SaysSo()
    {
        Skip.If(geteuid() == 0, "The superuser is let in everywhere.");
        using var listener = Listen(UnixFileMode.None);
        AssertRefused(ConnectFailureReason.NoPermission, SocketPath);
    }

    [Fact]
    public void Connect_BacklogFull_TimesOut()
    {
        using var listener = Listen();
        var waiting = new List<UnixMessageChannel>();
        ConnectFailure? failure = null;
        for (var i = 0; i < 8192 && UnixMessageChannel.TryConnect(SocketPath, TimeSpan.FromMilliseconds(1), out var channel, out failure); i++)
        {
            waiting.Add(channel);
        }

        waiting.ForEach(channel => channel.Dispose());
        Assert.Equal(ConnectFailureReason.TimedOut, failure?.Reason);
    }

    [Fact]
    public void Receive_Descriptors_AreRaisedAboveThoseOfSelect()
    {
        using var listener = Listen();
        using var client = Connect();
        using var server = Accept(listener);
        using var file = File.OpenHandle(typeof(UnixMessageListenerTests).Assembly.Location);
        Assert.Equal(SendStatus.Sent, client.TrySend([1], [file, file]));

        Assert.Equal(ReceiveStatus.Message, server.TryReceive(new byte[10], out _, _received));

        Assert.Equal(2, _received.Count);
        Assert.All(_received, descriptor =>
        {
            Assert.True(descriptor.DangerousGetHandle() > FileDescriptors.HighestSelectable);
            Assert.Equal(RandomAccess.GetLength(file), RandomAccess.GetLength(descriptor));
        });
    }

    [Fact]
    public unsafe void Receive_DescriptorsWithoutBytes_LeakNothing()
    {
        using var listener = Listen();
        using var client = Connect();
        using var server = Accept(listener);
        using var file = File.OpenHandle(typeof(UnixMessageListenerTests).Assembly.Location);
        var before = OpenDescriptors.Count();
        var control = stackalloc byte[24];
        *(SocketNative.ControlHeader*)control = new SocketNative.ControlHeader { Length = 20, Level = SocketNative.SocketLevel, Type = SocketNative.PassRights };
        *(int*)(control + 16) = (int)file.DangerousGetHandle();
        Assert.Equal(0, SocketNative.SendMessage((int)client.Socket.DangerousGetHandle(), new SocketNative.MessageHeader { Control = control, ControlLength = 24 }, 0));

        Assert.Equal(ReceiveStatus.Closed, server.TryReceive(new byte[10], out _, _received));

        Assert.Empty(_received);
        Assert.Equal(before, OpenDescriptors.Count());
    }

    [Fact]
    public void TrySend_NobodyReads_IsFullAndThenClosed()
    {
        using var listener = Listen();
        using var client = Connect();
        using var server = Accept(listener);
        var status = SendStatus.Sent;
        for (var i = 0; i < 100_000 && status == SendStatus.Sent; i++)
        {
            status = client.TrySend(new byte[4096], default);
        }

        Assert.Equal(SendStatus.Full, status);
        server.Dispose();
        Assert.Equal(SendStatus.Closed, client.TrySend([1], default));
    }

    [Fact]
    public async Task OfPeer_ProcessThatEnds_IsSeenToEnd()
    {
        using var listener = Listen();
        using var client = Connect();
        using var server = Accept(listener);
        PeerCredentials.TryRead(server.Socket, out var peer);
        using var self = ProcessDescriptor.OfPeer(server.Socket, peer);
        Assert.NotNull(self);
        Assert.True(ProcessDescriptor.IsOfLivingProcess(self, Environment.ProcessId));
        Assert.False(ProcessDescriptor.IsOfLivingProcess(self, 1));

        using var child = Process.Start(new ProcessStartInfo("cat") { RedirectStandardInput = true })!;
        using var process = ProcessDescriptor.OfPeer(client.Socket, new PeerCredentials(child.Id, 0, 0));
        using var byNumber = new SafeFileHandle(EventNative.OpenProcess(child.Id), ownsHandle: true);
        Assert.False(ProcessDescriptor.HasEnded(byNumber));
        child.Kill();
        await child.WaitForExitAsync();
        Assert.True(ProcessDescriptor.HasEnded(byNumber));
        Assert.False(ProcessDescriptor.IsOfLivingProcess(byNumber, child.Id));
    }

    [Fact]
    public void IsOfLivingProcess_WhateverElseCame_IsFalse()
    {
        using var file = File.OpenHandle(typeof(UnixMessageListenerTests).Assembly.Location);
        using var directory = new SafeFileHandle(open(_directory.FullName, 0), ownsHandle: true);
        using var queue = new SafeFileHandle(EventNative.CreateQueue(EventNative.CloseOnExec), ownsHandle: true);
        foreach (var nonsense in new[] { file, directory, queue })
        {
            Assert.False(ProcessDescriptor.IsOfLivingProcess(nonsense, 0));
            Assert.False(ProcessDescriptor.IsOfLivingProcess(nonsense, Environment.ProcessId));
        }
    }

    public void Dispose()
    {
        _received.ForEach(descriptor => descriptor.Dispose());
        _directory.Delete(recursive: true);
    }

    private UnixMessageListener Listen(UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite) =>
        UnixMessageListener.TryListen(SocketPath, mode, null, out var listener, out var problem) ? listener : throw new InvalidOperationException(problem);

    private UnixMessageChannel Connect() => UnixMessageChannel.TryConnect(SocketPath, Patience, out var channel, out var failure)
        ? channel
        : throw new InvalidOperationException(failure.Text);

    private static UnixMessageChannel Accept(UnixMessageListener listener)
    {
        Assert.Equal(AcceptStatus.Accepted, listener.TryAccept(out var channel));
        return channel!;
    }

    private static void AssertRefused(ConnectFailureReason reason, string path)
    {
        Assert.False(UnixMessageChannel.TryConnect(path, Patience, out _, out var failure));
        Assert.Equal(reason, failure.Reason);
        Assert.NotEmpty(failure.Text);
    }

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);
}
