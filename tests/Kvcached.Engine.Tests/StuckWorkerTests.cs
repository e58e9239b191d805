using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>A worker whose driver never comes back from an unmap: its memory is counted and its pages blocked, nobody else waits, and it is free in the end.</summary>
public sealed class StuckWorkerTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=64";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;
    private Probe[] _workers = null!;

    public async Task InitializeAsync()
    {
        // Long enough for a machine that is busy with other things; only the unmap that hangs takes as long.
        _domain = await EngineDomain.StartAsync(hosts: 2, "--worker-deadline", "5s", "--decision-deadline", "15s");
        _scheduler = await _domain.StartSchedulerAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
        _workers = await _domain.StartWorkersAsync("pool");
        await _scheduler.GrantedAsync("grow pool=pool pages=3");
    }

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_unmap_that_is_never_answered_is_quarantined_until_its_worker_answers_or_ends(bool isEnding)
    {
        var others = await _domain.StartSchedulerAsync("other");
        await others.DoAsync(_domain.OpenPoolCommand("other", Shape));
        await _domain.StartWorkersAsync("other");
        await others.GrantedAsync("grow pool=other pages=1");
        await _workers[1].DoAsync("fail fault=unmap:1:hang");

        await _scheduler.SendAsync("trim pool=pool");
        await _workers[1].UntilAsync("hanging", answer => answer.GetProperty("hangs").GetBoolean());

        // The other engine doesn't wait, and the one whose worker hangs has its answer.
        var blocks = BlocksOf(await others.GrantedAsync("allocate pool=other count=40"));
        await others.DoAsync($"free pool=other blocks={List(blocks)}");
        await others.DoAsync("trim pool=other");
        Assert.True((await _scheduler.AnswerAsync("trim")).GetProperty("ok").GetBoolean());
        await _domain.GpusUntilAsync(gpus => gpus[1].QuarantinedBytes > 0 && gpus[0].QuarantinedBytes == 0);
        await AgreeAsync([_workers[0]], pages: 0);

        if (isEnding)
        {
            await _workers[1].KillAsync();
            await _domain.GpusUntilAsync(gpus => gpus.All(gpu => gpu.QuarantinedBytes == 0));
            _workers[1] = _domain.StartProbe();
            await _workers[1].DoAsync(_domain.AttachCommand("pool", 1));
        }
        else
        {
            await _workers[1].DoAsync("release");
            await _domain.GpusUntilAsync(gpus => gpus.All(gpu => gpu.QuarantinedBytes == 0));
        }

        await _scheduler.UntilAsync("grow pool=pool pages=5 deadline=10", answer => answer.GetProperty("ok").GetBoolean());
        await AgreeAsync(_workers, pages: 5);
    }
}
