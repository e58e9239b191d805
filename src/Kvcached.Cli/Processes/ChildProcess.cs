using System.Diagnostics;

namespace Kvcached.Cli.Processes;

/// <summary>A process that this one has started: its lines go to a log file and to a callback, and it never outlives this one.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    /// <summary>Lines of output kept for messages.</summary>
    private const int TailLines = 15;

    private readonly Process _process;
    private readonly ProcessGuard _guard;
    private readonly StreamWriter _log;
    private readonly Lock _lock = new();
    private readonly Queue<string> _tail = new();
    private readonly Action<string>? _onLine;
    private readonly Task _whenEnded;

    private ChildProcess(string name, Process process, ProcessGuard guard, string logPath, Action<string>? onLine)
    {
        (Name, _process, _guard, LogPath, _onLine) = (name, process, guard, logPath, onLine);
        _log = new StreamWriter(logPath, append: true) { AutoFlush = true };
        guard.Watch(process.Id);
        _whenEnded = PumpAsync();
    }

    public string Name { get; }

    public string LogPath { get; }

    public int ProcessId => _process.Id;

    /// <summary>Ends when the process has ended and all its output is read.</summary>
    public Task WhenEnded => _whenEnded;

    /// <summary>The exit code, once <see cref="WhenEnded"/>.</summary>
    public int ExitCode => _process.ExitCode;

    /// <param name="name">For messages.</param>
    /// <param name="program">Path of the program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="guard">Ends it if this process goes.</param>
    /// <param name="logPath">File for its output and errors.</param>
    /// <param name="onLine">Called with each line of its output, one at a time; null for nobody.</param>
    /// <param name="environment">Variables to set besides; null for none.</param>
    /// <param name="directory">Where it runs; null for this process's own place.</param>
    /// <exception cref="System.ComponentModel.Win32Exception">There is no such program, or it may not be run.</exception>
    public static ChildProcess Start(
        string name, string program, IEnumerable<string> arguments, ProcessGuard guard, string logPath, Action<string>? onLine,
        IReadOnlyDictionary<string, string>? environment = null, string? directory = null)
    {
        var start = new ProcessStartInfo(program)
        {
            WorkingDirectory = directory ?? string.Empty,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        CleanEnvironment.Apply(start.Environment);
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[key] = value;
        }

        var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        return new ChildProcess(name, process, guard, logPath, onLine);
    }

    /// <summary>The last lines of its output and errors.</summary>
    public string Tail()
    {
        lock (_lock)
        {
            return string.Join(Environment.NewLine, _tail);
        }
    }

    public void WriteLine(string line)
    {
        try
        {
            _process.StandardInput.WriteLine(line);
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It has ended; whoever waits for it will see that.
        }
    }

    /// <summary>Ends its standard input.</summary>
    public void CloseInput()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended first.
        }
    }

    /// <summary>Asks it to end, and kills it when it hasn't by the end of the grace time.</summary>
    public async Task EndAsync(TimeSpan grace, TimeProvider time)
    {
        if (_whenEnded.IsCompleted)
        {
            return;
        }

        _guard.Terminate(_process.Id);
        await _whenEnded.WaitAsync(grace, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_whenEnded.IsCompleted)
        {
            _process.Kill();
            await _whenEnded;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync(TimeSpan.Zero, TimeProvider.System);
        await _log.DisposeAsync();
        _process.Dispose();
    }

    private async Task PumpAsync()
    {
        await Task.WhenAll(PumpAsync(_process.StandardOutput, isOutput: true), PumpAsync(_process.StandardError, isOutput: false));
        await _process.WaitForExitAsync();
        _guard.Forget(_process.Id);
    }

    private async Task PumpAsync(StreamReader reader, bool isOutput)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_lock)
            {
                _log.WriteLine(line);
                _tail.Enqueue(line);
                if (_tail.Count > TailLines)
                {
                    _tail.Dequeue();
                }
            }

            if (isOutput)
            {
                _onLine?.Invoke(line);
            }
        }
    }
}
