using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Ranks;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>The lane between two hosts is cut while decisions are under way.</summary>
public sealed class LaneCutSpecs : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-hosts-").FullName;
    private InProcessHost _first = null!;
    private InProcessHost _second = null!;
    private Inbox _log = null!;

    public async Task InitializeAsync()
    {
        _first = await InProcessHost.StartAsync(0, _directory);
        _log = Inbox.Create(_first.System);
        _first.System.EventStream.Subscribe(_log.Receiver, typeof(Info));
        _second = await InProcessHost.StartAsync(1, _directory, _first.Address);
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await _second.WaitForHostsAsync(2, timeout.Token);
    }

    public async Task DisposeAsync()
    {
        await _second.DisposeAsync();
        await _first.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Decisions_should_be_carried_out_or_refused_and_the_ranks_stay_equal()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMinutes(4));
        await SaidAsync("HOST-1 is reached by lane");
        await using var client = await EngineClient.ConnectAsync(
            new EngineClientOptions { EngineName = "cut", Domain = "test", Hosts = [_first.Address] }, timeout.Token);
        var opened = await client.OpenPoolAsync(TestPools.Spec("cut", TestPools.Gpus(2), virtualPages: 512), timeout.Token);
        await using var pool = opened.Value!;
        var supervisor = await _second.System.ActorSelection("/user/rank").ResolveOne(TimeSpan.FromSeconds(30));

        for (var round = 0; round < 4; round++)
        {
            // Cut in the middle of it: some of its decisions are on their way, in the socket, or not yet answered.
            var growing = Enumerable.Range(0, 12).Select(_ => pool.GrowAsync(0, 1, TimeSpan.FromSeconds(10), timeout.Token)).ToArray();
            supervisor.Tell(RankSupervisor.CutLane.Instance);
            await Task.WhenAll(growing);
            await UntilGrownAsync(pool, timeout.Token);
            await AssertEqualAsync(pool, timeout.Token);
            var trimmed = await pool.TrimAsync(0, 0, TimeSpan.Zero, timeout.Token);
            Assert.Null(trimmed.Refusal);

            // Another mapper, another lane.
            supervisor.Tell(RankSupervisor.CrashMapper.Instance);
            await SaidAsync("HOST-1 is reached by lane");
        }

        await UntilGrownAsync(pool, timeout.Token);
        await AssertEqualAsync(pool, timeout.Token);
    }

    /// <summary>Grants go on, over whatever link there is now.</summary>
    private static async Task UntilGrownAsync(IEnginePool pool, CancellationToken cancellation)
    {
        while ((await pool.GrowAsync(0, 2, TimeSpan.FromSeconds(10), cancellation)).Refusal is not null)
        {
            await Task.Delay(20, cancellation);
        }
    }

    /// <summary>Once nothing is under way any more, both ranks have the same mapped, and the same digest.</summary>
    private async Task AssertEqualAsync(IEnginePool pool, CancellationToken cancellation)
    {
        while (true)
        {
            var (left, right) = (StateOf(_first, pool), StateOf(_second, pool));
            if (left.Digest == right.Digest && left.Mapped.SetEquals(right.Mapped) && left.Mapped.Sum(e => e.PageCount) == pool.GetStats().MappedPages)
            {
                Assert.NotEmpty(left.Mapped);
                return;
            }

            await Task.Delay(20, cancellation);
        }
    }

    private static (LayoutDigest Digest, HashSet<Extent> Mapped) StateOf(InProcessHost host, IEnginePool pool)
    {
        Assert.True(host.Pages.TryGet(pool.Id, out var memory));
        return (host.State.Pools[pool.Id].Replica.Table.Digest, [.. memory!.MappedExtents]);
    }

    private async Task SaidAsync(string what)
    {
        while (!((Info)await _log.ReceiveAsync(TimeSpan.FromSeconds(60))).ToString().Contains(what, StringComparison.Ordinal))
        {
        }
    }
}
