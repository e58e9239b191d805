using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Kvcached.Engine.Tests.Support;

/// <summary>One engine process that a test started, told what to do line by line.</summary>
internal sealed partial class Probe : IAsyncDisposable
{
    private const int SigKill = 9;
    private const int SigStop = 19;
    private const int SigContinue = 18;

    private readonly Process _process;
    private readonly StringBuilder _errors = new();

    private Probe(Process process)
    {
        _process = process;
        process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                _errors.AppendLine(line.Data);
            }
        };
        process.BeginErrorReadLine();
    }

    public int ProcessId => _process.Id;

    public static string ProgramPath { get; } = Path.Combine(AppContext.BaseDirectory, "Kvcached.EngineProbe.dll");

    /// <param name="through">A program that starts it, with its arguments; empty = started as it is.</param>
    public static Probe Start(params string[] through)
    {
        string[] words = [.. through, "dotnet", ProgramPath];
        var start = new ProcessStartInfo(words[0], words[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return new Probe(Process.Start(start)!);
    }

    /// <summary>Sends a command and reads its answer, whatever it is.</summary>
    public async Task<JsonElement> AskAsync(string command)
    {
        await SendAsync(command);
        return await AnswerAsync(command);
    }

    /// <summary>Sends a command that must succeed.</summary>
    public async Task<JsonElement> DoAsync(string command)
    {
        var answer = await AskAsync(command);
        Assert.True(answer.GetProperty("ok").GetBoolean(), $"{Shorten(command)}: {answer}");
        return answer;
    }

    /// <summary>Sends a command that must be refused for that reason.</summary>
    public async Task<string> RefusedAsync(string reason, string command)
    {
        var answer = await AskAsync(command);
        Assert.False(answer.GetProperty("ok").GetBoolean(), $"{Shorten(command)} was granted: {answer}");
        Assert.Equal(reason, answer.GetProperty("reason").GetString());
        return answer.GetProperty("text").GetString()!;
    }

    /// <summary>Asks until the answer is as wanted; what is asked for comes about by itself, but not at once.</summary>
    public async Task<JsonElement> UntilAsync(string command, Func<JsonElement, bool> isWanted)
    {
        var last = default(JsonElement);
        Assert.True(await IsWithinPatienceAsync(command, answer => isWanted(last = answer)), $"{Shorten(command)} never answered as wanted; the last answer: {last}");
        return last;
    }

    /// <summary>Asks until the answer is as wanted; false when it never is.</summary>
    public async Task<bool> IsWithinPatienceAsync(string command, Func<JsonElement, bool> isWanted)
    {
        for (var waited = Stopwatch.StartNew(); !isWanted(await AskAsync(command));)
        {
            if (waited.Elapsed >= HostLauncher.Patience)
            {
                return false;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }

        return true;
    }

    /// <summary>Sends a command that must succeed once the coordinator has heard of every worker.</summary>
    public async Task<JsonElement> GrantedAsync(string command)
    {
        var answer = await UntilAsync(command, answer => answer.GetProperty("ok").GetBoolean() || answer.GetProperty("reason").GetString() != "NotAttached");
        Assert.True(answer.GetProperty("ok").GetBoolean(), $"{Shorten(command)}: {answer}");
        return answer;
    }

    public Task SendAsync(string command) => _process.StandardInput.WriteLineAsync(command).WaitAsync(HostLauncher.Patience);

    public async Task<JsonElement> AnswerAsync(string command)
    {
        var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(HostLauncher.Patience);
        lock (_errors)
        {
            return line is null
                ? throw new InvalidOperationException($"The process ended at '{Shorten(command)}':{Environment.NewLine}{_errors}")
                : JsonDocument.Parse(line).RootElement;
        }
    }

    public void Stop() => Assert.Equal(0, kill(_process.Id, SigStop));

    public void Continue() => Assert.Equal(0, kill(_process.Id, SigContinue));

    public async Task KillAsync()
    {
        Assert.Equal(0, kill(_process.Id, SigKill));
        await _process.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
    }

    /// <summary>Ends the process in good order.</summary>
    public async Task<int> EndAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private static string Shorten(string command) => command.Length > 120 ? command[..120] + "…" : command;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
