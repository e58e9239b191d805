namespace Kvcached.TraceReplay.Tests.Orchestration;

public sealed class ProcessTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-process-").FullName;

    [Fact]
    public async Task Start_Output_ReachesTheCallbackTheLogAndTheTail()
    {
        await using var guard = ProcessGuard.Start();
        List<string> lines = [];
        await using var child = Start(guard, "echo one; echo two >&2; exit 3", lines.Add);

        await child.WhenEnded.WaitAsync(Patience);

        Assert.Equal(["one"], lines);
        Assert.Equal(3, child.ExitCode);
        Assert.Contains("one", child.Tail(), StringComparison.Ordinal);
        Assert.Contains("two", child.Tail(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task EndAsync_PoliteChild_EndsItselfOnTheSignal()
    {
        await using var guard = ProcessGuard.Start();
        var hasBegun = new TaskCompletionSource();
        await using var child = Start(guard, "trap 'echo bye; exit 7' TERM; echo up; while :; do read -r _ || sleep 1; done", _ => hasBegun.TrySetResult());
        await hasBegun.Task.WaitAsync(Patience);

        await child.EndAsync(Patience, TimeProvider.System);

        Assert.Equal(7, child.ExitCode);
    }

    [Fact]
    public async Task EndAsync_DeafChild_IsKilled()
    {
        await using var guard = ProcessGuard.Start();
        var hasBegun = new TaskCompletionSource();
        await using var child = Start(guard, "trap '' TERM; echo up; while :; do read -r _ || :; done", _ => hasBegun.TrySetResult());
        await hasBegun.Task.WaitAsync(Patience);

        await child.EndAsync(TimeSpan.Zero, TimeProvider.System);

        Assert.Equal(128 + 9, child.ExitCode);
    }

    [Fact]
    public async Task Guard_ItsInputEnds_EndsWhatItWatches()
    {
        var guard = ProcessGuard.Start();
        await using var child = Start(guard, "exec sleep 1000", _ => { });

        // The same happens when this whole process is killed: the shell reads the end of its input.
        guard.CloseInput();

        await child.WhenEnded.WaitAsync(Patience);
        Assert.Equal(128 + 15, child.ExitCode);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private ChildProcess Start(ProcessGuard guard, string script, Action<string> onLine) =>
        ChildProcess.Start("child", "/bin/sh", ["-c", script], guard, Path.Combine(_directory, "child.log"), onLine);
}
