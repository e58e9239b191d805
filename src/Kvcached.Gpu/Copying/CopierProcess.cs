using System.ComponentModel;
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// The copier's process, from start to end, and the socket to it. The socket is handed over through a path that only this user can
/// reach and that is gone once the process has connected: an inherited descriptor would leak into any other process that is
/// started in the same moment, and keep the socket open there after the copier's death.
/// </summary>
internal sealed class CopierProcess : IDisposable
{
    private const int PeerCredentials = 17;
    private const int SocketLevel = 1;

    private readonly Process _process;
    private volatile string? _lastErrorLine;

    private CopierProcess(Process process) => _process = process;

    /// <summary>What the process wrote last to its standard error, if anything.</summary>
    public string? LastErrorLine => _lastErrorLine;

    public int Id => _process.Id;

    /// <summary>Starts the program and waits until it has connected.</summary>
    public static async Task<(CopierProcess Process, UnixMessageChannel Channel, CopierUnavailable? Failure)> StartAsync(
        CopierClientOptions options, CancellationToken deadline)
    {
        if (CopierProgram.Find(options.ProgramPath, out var problem) is not { } program)
        {
            return Failed(problem);
        }

        var folder = Directory.CreateTempSubdirectory("kvc-");
        try
        {
            // The temporary folder is made for this user alone, so nobody else gets as far as the socket in it.
            var path = Path.Combine(folder.FullName, "s");
            using var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
            listener.Bind(new UnixDomainSocketEndPoint(path));
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            listener.Listen(1);
            var process = Launch(program.File, [.. program.Arguments, .. Arguments(options, path)]);
            try
            {
                var channel = await process.AcceptAsync(listener, deadline).ConfigureAwait(false);
                if (channel is not null)
                {
                    return (process, channel, null);
                }

                var failure = await process.DescribeEndAsync("ended before it had connected", deadline).ConfigureAwait(false);
                process.Dispose();
                return (null!, null!, failure);
            }
            catch
            {
                process.Kill();
                process.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is Win32Exception or SocketException or IOException or UnauthorizedAccessException)
        {
            return Failed($"The copier {program.File} could not be started: {e.Message}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Waits for the end, kills the process when it hasn't come in time, and says what is known about it.</summary>
    public async Task<CopierUnavailable> DescribeEndAsync(string what, CancellationToken cancellation)
    {
        int? exitCode = null;
        try
        {
            await _process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            exitCode = _process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            Kill();
        }

        var ending = exitCode is { } code ? $"exit code {code}" : "it didn't end in time and was killed";
        var lastLine = _lastErrorLine is { } line ? $"; its last words: {line}" : string.Empty;
        return new CopierUnavailable($"The copier (process {Id}) {what} ({ending}{lastLine}).", exitCode, _lastErrorLine);
    }

    public void Kill()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }
        catch (Win32Exception)
        {
            // It is ending.
        }
    }

    public void Dispose() => _process.Dispose();

    private static (CopierProcess, UnixMessageChannel, CopierUnavailable?) Failed(string message) =>
        (null!, null!, new CopierUnavailable(message, null, null));

    private static string[] Arguments(CopierClientOptions options, string path) =>
    [
        "serve",
        "--backend", options.Backend == CopierBackend.Cuda ? "cuda" : "host",
        "--gpu", options.Gpu.Value,
        "--socket-path", path,
    ];

    private static CopierProcess Launch(string file, string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false };
        var process = new Process { StartInfo = start };
        var copier = new CopierProcess(process);
        process.ErrorDataReceived += (_, line) =>
        {
            if (!string.IsNullOrWhiteSpace(line.Data))
            {
                copier._lastErrorLine = line.Data;
            }
        };
        try
        {
            process.Start();
            process.StandardInput.Close();
            process.BeginErrorReadLine();
            return copier;
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    private async Task<UnixMessageChannel?> AcceptAsync(Socket listener, CancellationToken deadline)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(deadline);
        var end = _process.WaitForExitAsync(ended.Token);
        try
        {
            while (true)
            {
                var accept = listener.AcceptAsync(ended.Token).AsTask();
                if (await Task.WhenAny(accept, end).ConfigureAwait(false) == end)
                {
                    await ended.CancelAsync().ConfigureAwait(false);
                    await DisposeLateAsync(accept).ConfigureAwait(false);
                    deadline.ThrowIfCancellationRequested();
                    return null;
                }

                using var socket = await accept.ConfigureAwait(false);
                if (IsOfProcess(socket))
                {
                    return UnixMessageChannel.Adopt(UnixMessageChannel.Duplicate(socket.SafeHandle));
                }
            }
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
        }
    }

    private static async Task DisposeLateAsync(Task<Socket> accept)
    {
        try
        {
            (await accept.ConfigureAwait(false)).Dispose();
        }
        catch (OperationCanceledException)
        {
            // Nobody came, as expected.
        }
    }

    private bool IsOfProcess(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[3 * sizeof(int)];
        socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials);
        return MemoryMarshal.Read<int>(credentials) == _process.Id;
    }
}
