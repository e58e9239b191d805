using System.Diagnostics;

namespace Kvcached.Benchmarks.Routers;

/// <summary>A server of the benchmark in a process of its own, which ends with this one.</summary>
internal sealed class PeerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly Process _process;

    private PeerProcess(Process process, string firstLine) => (_process, FirstLine) = (process, firstLine);

    /// <summary>What it said once it was ready.</summary>
    public string FirstLine { get; }

    /// <exception cref="InvalidOperationException">It ended instead.</exception>
    public static async Task<PeerProcess> StartAsync(string program, params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        return await process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line
            ? new PeerProcess(process, line)
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended before it was ready.");
    }

    public async ValueTask DisposeAsync()
    {
        // The router doesn't look at its input.
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
