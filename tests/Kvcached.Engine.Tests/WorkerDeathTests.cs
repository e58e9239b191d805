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
        var digests = new[] { await workers[0].DoAsync("arena"), await successor.DoAsync("arena") };
        Assert.Equal(digests[0].GetProperty("digest").GetString(), digests[1].GetProperty("digest").GetString());
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
        var digests = new[] { await workers[0].DoAsync("arena"), await workers[1].DoAsync("arena") };
        Assert.Equal(digests[0].GetProperty("digest").GetString(), digests[1].GetProperty("digest").GetString());
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
    public async Task What_makes_no_sense_should_be_refused_by_type()
    {
        await _domain.StartWorkersAsync("pool");
        var stranger = _domain.StartProbe();
        await stranger.RefusedAsync("AlreadyAttached", _domain.AttachCommand("pool", 1));
        await stranger.RefusedAsync("UnknownPool", _domain.AttachCommand("nowhere", 0) + " timeout=1");
        await stranger.RefusedAsync("HostUnreachable", $"attach socket=/nowhere/engine.sock pool=pool rank=0 gpu={_domain.Hosts[0].Ready.Gpu} timeout=1");
        var wrong = _domain.StartProbe();
        await wrong.RefusedAsync("WrongDevice", $"attach socket={_domain.SocketOf(0)} pool=pool rank=0 gpu=HOST-7 timeout=5");
        await stranger.RefusedAsync("HostUnreachable", "open-session socket=/nowhere/engine.sock timeout=1");
        await stranger.RefusedAsync("UnknownDomain", $"open-session socket={_domain.SocketOf(0)} domain=elsewhere timeout=5");
    }
}
