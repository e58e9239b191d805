using System.Diagnostics;
using System.Globalization;

namespace Kvcached.Cli.Processes;

/// <summary>
/// A small shell that outlives this process for a moment: when this one is gone, however it went, the shell ends all processes
/// that it was told to watch. It also sends the polite signals, which .NET can't.
/// </summary>
internal sealed class ProcessGuard : IAsyncDisposable
{
    private const string Script = """
        trap '' INT TERM HUP
        watched=' '
        while read -r verb pid; do
          case $verb in
            watch) watched="$watched$pid " ;;
            forget) case $watched in *" $pid "*) watched="${watched%%" $pid "*} ${watched#*" $pid "}" ;; esac ;;
            term) kill -TERM "$pid" 2>/dev/null ;;
          esac
        done
        set -- $watched
        [ $# -gt 0 ] || exit 0
        kill -TERM "$@" 2>/dev/null
        sleep 5
        kill -KILL "$@" 2>/dev/null
        """;

    private readonly Process _shell;
    private readonly Lock _lock = new();
    private bool _isClosed;

    private ProcessGuard(Process shell) => _shell = shell;

    public static ProcessGuard Start()
    {
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(Script);
        var shell = Process.Start(start) ?? throw new InvalidOperationException("/bin/sh did not start.");
        return new ProcessGuard(shell);
    }

    /// <summary>From now on the process ends with this one.</summary>
    public void Watch(int processId) => Tell("watch", processId);

    /// <summary>The process has ended; its id may be another's soon.</summary>
    public void Forget(int processId) => Tell("forget", processId);

    /// <summary>Asks the process to end (SIGTERM).</summary>
    public void Terminate(int processId) => Tell("term", processId);

    /// <summary>Ends everything that is still watched, as the end of this process would.</summary>
    internal void CloseInput()
    {
        lock (_lock)
        {
            _isClosed = true;
            _shell.StandardInput.Close();
        }
    }

    public async ValueTask DisposeAsync()
    {
        CloseInput();
        await _shell.WaitForExitAsync();
        _shell.Dispose();
    }

    private void Tell(string verb, int processId)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            _shell.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{verb} {processId}"));
            _shell.StandardInput.Flush();
        }
    }
}
