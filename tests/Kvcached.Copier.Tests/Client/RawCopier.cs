using System.Diagnostics;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Tests.Client;

/// <summary>A copier on an inherited socket, to which anything can be said.</summary>
internal sealed class RawCopier : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly byte[] _frame = new byte[CopierCodec.MaxFrameBytes];

    public RawCopier()
    {
        var (host, copier) = UnixMessageChannel.CreatePair();
        Channel = host;
        // Only this end is closed here: shutting it down would end the conversation for the child as well.
        using var inherited = copier.Socket;
        var descriptor = (int)inherited.DangerousGetHandle();
        Native.Inherit(descriptor);
        var program = Path.Combine(AppContext.BaseDirectory, "kvcached-copier");
        var start = new ProcessStartInfo(program, ["--backend", "host", "--gpu", TestPool.Gpu.Value, "--socket-fd", $"{descriptor}"])
        {
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    public UnixMessageChannel Channel { get; }

    public int ProcessId => _process.Id;

    public void Send(IRequest request, params ReadOnlySpan<SafeFileHandle> descriptors)
    {
        var length = CopierCodec.Write(_frame, 1, request);
        Assert.True(Channel.Send(_frame.AsSpan(0, length), descriptors));
    }

    public IReply Receive()
    {
        Assert.Equal(ReceiveStatus.Message, Channel.Receive(_frame, out var length, []));
        Assert.Null(CopierCodec.ReadReply(_frame.AsSpan(0, length), 0, out _, out var reply));
        return reply!;
    }

    public IReply Ask(IRequest request, params ReadOnlySpan<SafeFileHandle> descriptors)
    {
        Send(request, descriptors);
        return Receive();
    }

    /// <summary>Waits for the process to end.</summary>
    public async Task<(int ExitCode, string Errors)> EndAsync()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await _process.WaitForExitAsync(timeout.Token);
        return (_process.ExitCode, await _errors);
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        await EndAsync();
        _process.Dispose();
    }
}
