using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Tests.Support;

/// <summary>One host process that a test started.</summary>
public sealed partial class RunningHost : IAsyncDisposable
{
    private const int SigKill = 9;
    private const int SigUser1 = 10;
    private const int SigUser2 = 12;
    private const int SigTerm = 15;
    private const int SigContinue = 18;
    private const int SigStop = 19;

    // Between two questions; without it, asking would take the processor from the host that is to come about.
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    private readonly Process _process;
    private readonly StringBuilder _errors = new();
    private readonly TaskCompletionSource _errorsEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private HttpClient? _http;

    internal RunningHost(Process process)
    {
        _process = process;
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is null)
            {
                _errorsEnded.TrySetResult();
                return;
            }

            lock (_errors)
            {
                _errors.AppendLine(line.Data);
            }
        };
        process.BeginErrorReadLine();
    }

    public int ProcessId => _process.Id;

    public ReadyEvent Ready { get; private set; } = null!;

    public HttpClient Http => _http ??= new HttpClient
    {
        BaseAddress = new Uri($"http://127.0.0.1:{Ready.ManagementPort}"),
        Timeout = HostLauncher.Patience,
    };

    /// <summary>What the host has written to stderr so far.</summary>
    public string Errors
    {
        get
        {
            lock (_errors)
            {
                return _errors.ToString();
            }
        }
    }

    public async Task ReadReadyAsync()
    {
        var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(HostLauncher.Patience);
        Ready = line is null
            ? throw new InvalidOperationException($"The host ended before it was ready:{Environment.NewLine}{Errors}")
            : HostLauncher.ReadReadyLine(line);
    }

    /// <summary>Everything that is still to come on stdout.</summary>
    public Task<string> ReadRestOfOutputAsync() => _process.StandardOutput.ReadToEndAsync().WaitAsync(HostLauncher.Patience);

    public void Terminate() => Assert.Equal(0, kill(_process.Id, SigTerm));

    public void Kill() => Assert.Equal(0, kill(_process.Id, SigKill));

    /// <summary>Stops it where it is; it lives, and does nothing.</summary>
    public void Pause() => Assert.Equal(0, kill(_process.Id, SigStop));

    public void Resume() => Assert.Equal(0, kill(_process.Id, SigContinue));

    /// <summary>Its page mapper fails and another begins, where the host was started with <c>--test-crash-signal</c>.</summary>
    public void FailMapper() => Assert.Equal(0, kill(_process.Id, SigUser1));

    /// <summary>Its lane to the coordinator breaks, where the host was started with <c>--test-crash-signal</c>.</summary>
    public void CutLane() => Assert.Equal(0, kill(_process.Id, SigUser2));

    /// <summary>Waits until it has said something so many times on stderr.</summary>
    public async Task HasSaidAsync(string what, int times = 1)
    {
        var waited = Stopwatch.StartNew();
        while (Errors.Split(what).Length - 1 < times)
        {
            Assert.True(waited.Elapsed < HostLauncher.Patience, $"The host never said '{what}' {times} times:{Environment.NewLine}{Errors}");
            await Task.Delay(PollInterval);
        }
    }

    public async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
        await _errorsEnded.Task.WaitAsync(HostLauncher.Patience);
        return _process.ExitCode;
    }

    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var response = await Http.GetAsync(path);
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(expected == response.StatusCode, $"{path}: {(int)response.StatusCode}, not {(int)expected}: {body}");
        return JsonSerializer.Deserialize(body, type)!;
    }

    /// <summary>Asks until the answer is as wanted; what is asked for comes about by itself, but not at once.</summary>
    public async Task<T> GetUntilAsync<T>(string path, JsonTypeInfo<T> type, Func<T, bool> isWanted)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            string body;
            try
            {
                using var response = await Http.GetAsync(path);
                body = await response.Content.ReadAsStringAsync();
                var answer = JsonSerializer.Deserialize(body, type)!;
                if (isWanted(answer))
                {
                    return answer;
                }
            }
            catch (HttpRequestException exception)
            {
                // Not there for a moment while the host's actors begin anew.
                body = exception.Message;
            }

            Assert.True(waited.Elapsed < HostLauncher.Patience, $"{path} never answered as wanted; the last answer: {body}");
            await Task.Delay(PollInterval);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
