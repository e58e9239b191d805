using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>The lane between the coordinator's host and another is cut while an engine's requests are under way.</summary>
public sealed class LaneCutTests : IAsyncLifetime
{
    private const string Reached = "HOST-1 is reached by lane";
    private const int Rounds = 3;
    private const int RequestsPerRound = 20;

    private EngineDomain _domain = null!;

    public async Task InitializeAsync() => _domain = await EngineDomain.StartAsync(hosts: 2, "--test-crash-signal");

    public async Task DisposeAsync() => await _domain.DisposeAsync();

    [Fact]
    public async Task Requests_are_granted_or_refused_and_the_ranks_stay_equal()
    {
        await _domain.Hosts[0].HasSaidAsync(Reached);
        var scheduler = await _domain.StartSchedulerAsync();
        await scheduler.DoAsync(_domain.OpenPoolCommand("pool", "layers=2 pages=256"));
        var workers = await _domain.StartWorkersAsync("pool");
        var blocks = BlocksOf(await scheduler.GrantedAsync("allocate pool=pool count=60"));
        foreach (var worker in workers)
        {
            await worker.DoAsync($"write version=1 blocks={List(blocks)}");
        }

        for (var round = 1; round <= Rounds; round++)
        {
            for (var i = 0; i < RequestsPerRound; i++)
            {
                await scheduler.SendAsync("grow pool=pool pages=1 deadline=5");
            }

            // By now some requests are answered, and others are on their way.
            _domain.Hosts[1].CutLane();
            var granted = 0;
            for (var i = 0; i < RequestsPerRound; i++)
            {
                granted += (await scheduler.AnswerAsync("grow")).GetProperty("ok").GetBoolean() ? 1 : 0;
            }

            Assert.InRange(granted, 1, RequestsPerRound);
            await _domain.Hosts[0].HasSaidAsync("The lane to HOST-1 has ended", round);

            // By Akka.Remote now, and by a lane again once its page mapper is another.
            await GoesOnAsync(scheduler, workers, blocks);
            _domain.Hosts[1].FailMapper();
            await _domain.Hosts[0].HasSaidAsync(Reached, round + 1);
            await GoesOnAsync(scheduler, workers, blocks);
            await scheduler.DoAsync("trim pool=pool keep=0");
        }

        await scheduler.DoAsync("close-pool pool=pool");
        await _domain.IsEmptyAsync();
    }

    private static async Task GoesOnAsync(Probe scheduler, Probe[] workers, int[] blocks)
    {
        await scheduler.UntilAsync("grow pool=pool pages=1 deadline=5", answer => answer.GetProperty("ok").GetBoolean());
        foreach (var worker in workers)
        {
            Assert.Equal(0, (await worker.DoAsync($"verify version=1 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());
        }

        // What was under way when the grant came, a return for example, may still be.
        string? digest = null;
        await workers[0].UntilAsync("arena", arena =>
        {
            digest = arena.GetProperty("digest").GetString();
            return digest is not null;
        });
        await workers[1].UntilAsync("arena", arena => arena.GetProperty("digest").GetString() == digest);
    }
}
