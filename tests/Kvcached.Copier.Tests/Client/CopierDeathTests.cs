using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;

namespace Kvcached.Copier.Tests.Client;

/// <summary>What the host sees when its copier dies, hangs, or can't be started.</summary>
public sealed class CopierDeathTests
{
    private static readonly Extent Pages = new(0, new PageId(0), 0, 1);
    private static readonly CopierClientOptions Options = new() { Backend = CopierBackend.Host, Gpu = TestPool.Gpu };

    [Fact]
    public async Task Kill_WithCallsUnderWay_FailsThemAllAndLeaksNothing()
    {
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.PerLayer));
        var lent = pool.Lend(Pages);
        await WarmUpAsync();
        var before = ProcessFacts.CountDescriptors(Environment.ProcessId);
        var client = await StartAsync(Options);
        Assert.Null(await client.AttachAsync(pool.Id, pool.Geometry, 0));

        // A stopped process answers nothing, so these are under way, and more than may be at a time.
        Native.Signal(client.ProcessId, Native.SigStop);
        var calls = Enumerable.Range(0, 100)
            .Select(i => i % 2 == 0 ? client.MapAsync(pool.Id, Pages, lent) : client.StampAsync(pool.Id, 0, pool.StampsOf(Pages, 1))).ToArray();
        Assert.DoesNotContain(calls, c => c.IsCompleted);
        Native.Signal(client.ProcessId, Native.SigKill);

        var failures = await Task.WhenAll(calls);
        Assert.All(failures, f => Assert.Equal(128 + Native.SigKill, Assert.IsType<CopierUnavailable>(f).ExitCode));
        Assert.IsType<CopierUnavailable>(await client.DropAsync(pool.Id, Pages));
        Assert.Equal(128 + Native.SigKill, (await client.Ended).ExitCode);
        await client.DisposeAsync();
        await client.DisposeAsync();
        Assert.IsType<CopierUnavailable>(await client.DetachAsync(pool.Id));
        await ProcessFacts.DescriptorsFallToAsync(before);
        Assert.All(lent, d => Assert.False(d.IsClosed));
    }

    [Fact]
    public async Task Call_CopierHangs_MissesItsDeadlineAndTheNextAnswersAreRight()
    {
        await using var client = await StartAsync(Options with { CallTimeout = TimeSpan.FromMilliseconds(50) });
        Native.Signal(client.ProcessId, Native.SigStop);
        Assert.IsType<CopierDeadlineExceeded>(await client.DetachAsync(new PoolId(1)));
        Native.Signal(client.ProcessId, Native.SigContinue);

        var answer = await client.DetachAsync(new PoolId(3));
        while (answer is CopierDeadlineExceeded)
        {
            answer = await client.DetachAsync(new PoolId(3));
        }

        Assert.Contains(new PoolId(3).ToString(), Assert.IsType<CopierRefused>(answer).Message);
    }

    [Fact]
    public async Task Call_CallerGivesUp_IsCancelledAndTheNextAnswersAreRight()
    {
        await using var client = await StartAsync(Options);
        Native.Signal(client.ProcessId, Native.SigStop);
        using var giveUp = new CancellationTokenSource();
        var waiting = client.DetachAsync(new PoolId(2), giveUp.Token);
        Assert.False(waiting.IsCompleted);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Native.Signal(client.ProcessId, Native.SigContinue);
        Assert.Contains(new PoolId(3).ToString(), Assert.IsType<CopierRefused>(await client.DetachAsync(new PoolId(3))).Message);
    }

    [Fact]
    public async Task Dispose_CopierHangs_KillsIt()
    {
        var client = await StartAsync(Options with { ExitTimeout = TimeSpan.FromMilliseconds(50) });
        var id = client.ProcessId;
        Native.Signal(id, Native.SigStop);
        await client.DisposeAsync();
        Assert.False(ProcessFacts.IsAlive(id));
        Assert.Equal(128 + Native.SigKill, (await client.Ended).ExitCode);
    }

    [Fact]
    public async Task Dispose_EndsTheProcess()
    {
        var client = await StartAsync(Options);
        var id = client.ProcessId;
        Assert.True(ProcessFacts.IsAlive(id));
        await client.DisposeAsync();
        Assert.False(ProcessFacts.IsAlive(id));
        Assert.Equal(0, (await client.Ended).ExitCode);
    }

    [Fact]
    public async Task Start_ThroughDotnet_Works()
    {
        await using var client = await StartAsync(Options with { ProgramPath = Path.Combine(AppContext.BaseDirectory, "kvcached-copier.dll") });
        Assert.IsType<CopierRefused>(await client.DetachAsync(new PoolId(1)));
    }

    [Theory]
    [InlineData("/nonexistent/kvcached-copier", "was not found")]
    [InlineData("/bin/false", "ended before it had connected")]
    [InlineData("/etc/passwd", "could not be started")]
    public async Task Start_ProgramThatIsNoCopier_IsUnavailable(string program, string why)
    {
        var before = Directory.GetDirectories(Path.GetTempPath(), "kvc-*").Length;
        var failure = Assert.IsType<CopierUnavailable>((await CopierClient.StartAsync(Options with { ProgramPath = program })).Failure);
        Assert.Contains(why, failure.Message);
        Assert.Equal(before, Directory.GetDirectories(Path.GetTempPath(), "kvc-*").Length);
    }

    [Fact]
    public async Task Start_DeviceThatIsNotThere_TellsTheCopiersLastWords()
    {
        var missing = Options with { Backend = CopierBackend.Cuda, Gpu = GpuId.Parse("GPU-00000000-0000-0000-0000-000000000000") };
        var failure = Assert.IsType<CopierUnavailable>((await CopierClient.StartAsync(missing)).Failure);
        Assert.Equal(1, failure.ExitCode);
        Assert.NotNull(failure.LastErrorLine);
        Assert.Contains(failure.LastErrorLine, failure.Message);
    }

    [Fact]
    public async Task Start_ProgramThatNeverConnects_MissesItsDeadline()
    {
        var slow = Options with { ProgramPath = WriteScript("exec sleep 1000"), StartTimeout = TimeSpan.FromMilliseconds(300) };
        Assert.Contains("didn't start within", Assert.IsType<CopierUnavailable>((await CopierClient.StartAsync(slow)).Failure).Message);
        File.Delete(slow.ProgramPath!);
    }

    /// <summary>What the runtime opens once for all time must not be taken for a leak.</summary>
    private static async Task WarmUpAsync() => await (await StartAsync(Options)).DisposeAsync();

    private static string WriteScript(string command)
    {
        var path = Path.Combine(AppContext.BaseDirectory, $"script-{Guid.NewGuid():N}");
        File.WriteAllText(path, $"#!/bin/sh\n{command}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private static async Task<CopierClient> StartAsync(CopierClientOptions options)
    {
        var started = await CopierClient.StartAsync(options);
        Assert.True(started.IsOk, started.Failure?.Message);
        return started.Value;
    }
}
