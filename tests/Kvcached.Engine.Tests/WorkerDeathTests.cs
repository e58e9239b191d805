using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Workers that are killed, stopped and started again, on two ranks.</summary>
public sealed class WorkerDeathTests : IAsyncLifetime
{
    private const string Shape = "layers=2 pages=32";

    private EngineDomain _domain = null!;
    private Probe _scheduler = null!;

    public async Task InitializeAsync()
    {
        _domain = await EngineDomain.StartAsync(hosts: 2);
        _scheduler = await _domain.StartSchedulerAsync();
        await _scheduler.DoAsync(_domain.OpenPoolCommand("pool", Shape));
    }

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public async Task A_grant_should_be_refused_until_every_rank_has_its_worker()
    {
        await _scheduler.RefusedAsync("NotAttached", "grow pool=pool pages=1 deadline=5");
        var first = _domain.StartProbe();
        await first.DoAsync(_domain.AttachCommand("pool", 0));
        await _scheduler.RefusedAsync("NotAttached", "grow pool=pool pages=1 deadline=5");
        var second = _domain.StartProbe();
        await second.DoAsync(_domain.AttachCommand("pool", 1));
        await _scheduler.UntilAsync("grow pool=pool pages=1 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task A_killed_worker_that_is_started_again_should_find_its_data()
    {
        var workers = await _domain.StartWorkersAsync("pool");
        var blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=pool count=40"));
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=1 blocks={List(blocks)}");
        }

        await workers[1].KillAsync();
        await _scheduler.UntilAsync(
            "grow pool=pool pages=1 deadline=2", answer => !answer.GetProperty("ok").GetBoolean() && answer.GetProperty("reason").GetString() == "NotAttached");
        var successor = _domain.StartProbe();
        await successor.DoAsync(_domain.AttachCommand("pool", 1));
        await successor.UntilAsync("arena", arena => arena.GetProperty("pages").GetInt32() > 0);
        var read = await successor.DoAsync($"verify version=1 blocks={List(blocks)}");
        Assert.Equal(0, read.GetProperty("corrupt").GetInt32());
        await _scheduler.UntilAsync("grow pool=pool pages=1 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        var mapped = (await _scheduler.DoAsync("pool-stats pool=pool")).GetProperty("mappedPages").GetInt32();
        await AgreeAsync([workers[0], successor], mapped);
    }

    [Fact]
    public async Task A_stopped_worker_should_hold_up_only_its_own_pool()
    {
        var workers = await _domain.StartWorkersAsync("pool");
        await _scheduler.GrantedAsync("grow pool=pool pages=2");
        var others = await _domain.StartSchedulerAsync("other");
        await others.DoAsync(_domain.OpenPoolCommand("other", Shape));
        await _domain.StartWorkersAsync("other");
        await others.UntilAsync("grow pool=other pages=1 deadline=5", answer => answer.GetProperty("ok").GetBoolean());

        workers[0].Stop();
        await _scheduler.SendAsync("grow pool=pool pages=2 deadline=4");
        await others.GrantedAsync("grow pool=other pages=2 deadline=5");
        var held = await _scheduler.AnswerAsync("grow");
        Assert.False(held.GetProperty("ok").GetBoolean());

        workers[0].Continue();
        await _scheduler.UntilAsync("grow pool=pool pages=2 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        await _domain.GpusUntilAsync(gpus => gpus.All(gpu => gpu.QuarantinedBytes == 0 && gpu.ReservedBytes == 0));
        await AgreeAsync(workers, (await _scheduler.DoAsync("pool-stats pool=pool")).GetProperty("mappedPages").GetInt32());
    }

    [Fact]
    public async Task Memory_should_stay_mapped_until_the_last_step_that_used_it_is_complete_on_every_rank()
    {
        var workers = await _domain.StartWorkersAsync("pool");
        var blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=pool count=4"));
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=3 blocks={List(blocks)}");
            await worker.DoAsync("step-done step=4");
        }

        // Steps 5 and 6 are in flight; the blocks were last used by 6.
        await _scheduler.DoAsync($"free pool=pool step=6 blocks={List(blocks)}");
        await _scheduler.SendAsync("trim pool=pool");
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("leaving").GetInt32() > 0);
        await workers[0].DoAsync("step-done step=5");
        Assert.Equal(0, (await workers[0].DoAsync($"verify version=3 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());
        await workers[0].DoAsync("step-done step=6");
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("descriptors").GetInt32() == 0);

        // The other rank is behind: what it may still read stays.
        Assert.Equal(0, (await workers[1].DoAsync($"verify version=3 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());
        await workers[1].DoAsync("step-done step=6");
        Assert.True((await _scheduler.AnswerAsync("trim")).GetProperty("ok").GetBoolean());
        await workers[1].UntilAsync("arena", arena => arena.GetProperty("descriptors").GetInt32() == 0);
        await _domain.IsEmptyAsync();
    }

    [Fact]
    public async Task A_pool_should_stay_mapped_until_the_step_that_its_scheduler_closed_it_with_is_complete_on_every_rank()
    {
        var workers = await _domain.StartWorkersAsync("pool");
        var blocks = BlocksOf(await _scheduler.GrantedAsync("allocate pool=pool count=4"));
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=3 blocks={List(blocks)}");
            await worker.DoAsync("step-done step=4");
        }

        // The scheduler runs ahead: no worker has got step 6 yet.
        await _scheduler.SendAsync("close-pool pool=pool step=6");
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("gone").GetString() is not null || arena.GetProperty("leaving").GetInt32() > 0);
        await workers[0].DoAsync("step-done step=6");
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("descriptors").GetInt32() == 0);
        await workers[1].DoAsync("step-done step=5");
        await workers[1].UntilAsync("arena", arena => arena.GetProperty("leaving").GetInt32() > 0);
        await workers[1].DoAsync("step-done step=6");

        Assert.True((await _scheduler.AnswerAsync("close-pool")).GetProperty("ok").GetBoolean());
        await workers[1].UntilAsync("arena", arena => arena.GetProperty("descriptors").GetInt32() == 0);
        await _domain.IsEmptyAsync();
    }

    [Fact]
    public async Task A_dead_worker_that_nobody_replaces_should_not_keep_its_pools_memory()
    {
        await using var domain = await EngineDomain.StartAsync(hosts: 2, "--reattach-window", "1s");
        var scheduler = await domain.StartSchedulerAsync();
        await scheduler.DoAsync(domain.OpenPoolCommand("pool", Shape));
        var workers = await domain.StartWorkersAsync("pool");
        await scheduler.GrantedAsync("grow pool=pool pages=4");
        await workers[1].KillAsync();

        // The window ends by itself; then the pool is lost, and the worker that lives unmaps it when its scheduler has said that no step uses it.
        await scheduler.UntilAsync("pool-stats pool=pool", stats => stats.GetProperty("withdrawn").GetString() == "PoolLost");
        Assert.Null((await workers[0].DoAsync("arena")).GetProperty("gone").GetString());
        await scheduler.DoAsync("close-pool pool=pool");
        await workers[0].UntilAsync("arena", arena => arena.GetProperty("gone").GetString() is not null && arena.GetProperty("descriptors").GetInt32() == 0);
        await domain.IsEmptyAsync();
        await scheduler.RefusedAsync("PoolLost", "grow pool=pool pages=1 deadline=5");

        // Its name is free again, and everything starts from nothing.
        await scheduler.UntilAsync(domain.OpenPoolCommand("pool", Shape), answer => answer.GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task A_pool_that_is_opened_again_in_another_shape_should_be_refused_and_kept()
    {
        await _domain.StartWorkersAsync("pool");
        await _scheduler.GrantedAsync("grow pool=pool pages=2");
        await _scheduler.RefusedAsync("NameInUse", _domain.OpenPoolCommand("pool", "layers=2 pages=64"));
        await _scheduler.KillAsync();
        var successor = await _domain.StartSchedulerAsync();
        foreach (var other in (string[])["layers=3 pages=32", "layers=2 pages=64", "layers=2 pages=32 layout=PerLayer", "layers=2 pages=32 limit=134217728"])
        {
            var text = await successor.RefusedAsync("NameInUse", _domain.OpenPoolCommand("pool", other));
            Assert.Contains("pool", text, StringComparison.Ordinal);
        }

        await successor.RefusedAsync("NameInUse", $"open-pool name=pool gpus={_domain.Hosts[0].Ready.Gpu} {Shape}");
        await successor.UntilAsync(_domain.OpenPoolCommand("pool", Shape), answer => answer.GetProperty("ok").GetBoolean());
        Assert.Equal(2, (await successor.DoAsync("pool-stats pool=pool")).GetProperty("mappedPages").GetInt32());
    }

    [Fact]
    public async Task What_a_pool_can_never_have_should_be_refused_by_type()
    {
        await _scheduler.RefusedAsync("BadGeometry", _domain.OpenPoolCommand("odd", "layers=2 pages=32 blockBytes=0"));
        await _scheduler.RefusedAsync("UnknownGpu", "open-pool name=odd gpus=HOST-9 layers=2 pages=32");
        await _scheduler.RefusedAsync("FloorDoesNotFit", _domain.OpenPoolCommand("odd", "layers=2 pages=512 limit=2147483648 floor=1073741824"));
        await _scheduler.RefusedAsync("BadLimit", _domain.OpenPoolCommand("odd", "layers=2 pages=32 limit=8388608 floor=16777216"));
        await _scheduler.DoAsync(_domain.OpenPoolCommand("hosted", Shape + " target=Host"));
        await _domain.StartProbe().RefusedAsync("NotSupported", _domain.AttachCommand("hosted", 0) + " timeout=5");
        await _scheduler.RefusedAsync("VirtualSpaceExhausted", "grow pool=pool pages=33 deadline=5");
    }

    [Fact]
    public async Task What_makes_no_sense_should_be_refused_by_type()
    {
        await _domain.StartWorkersAsync("pool");
        var stranger = _domain.StartProbe();
        await stranger.RefusedAsync("AlreadyAttached", _domain.AttachCommand("pool", 1) + " timeout=1");
        await stranger.RefusedAsync("UnknownPool", _domain.AttachCommand("nowhere", 0) + " timeout=1");
        await stranger.RefusedAsync("HostUnreachable", $"attach socket=/nowhere/engine.sock pool=pool rank=0 gpu={_domain.Hosts[0].Ready.Gpu} timeout=1");
        var wrong = _domain.StartProbe();
        await wrong.RefusedAsync("WrongDevice", $"attach socket={_domain.SocketOf(0)} pool=pool rank=0 gpu=HOST-7 timeout=5");
        await stranger.RefusedAsync("HostUnreachable", "open-session socket=/nowhere/engine.sock timeout=1");
        await stranger.RefusedAsync("UnknownDomain", $"open-session socket={_domain.SocketOf(0)} domain=elsewhere timeout=5");
    }
}
