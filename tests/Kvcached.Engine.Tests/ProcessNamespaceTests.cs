using Kvcached.Engine.Tests.Support;
using static Kvcached.Engine.Tests.Support.EngineDomain;

namespace Kvcached.Engine.Tests;

/// <summary>Engines and hosts that don't see each other's process ids, as in containers: ends must be seen all the same, and nobody be mistaken for another.</summary>
public sealed class ProcessNamespaceTests
{
    private const string Shape = "layers=2 pages=32";

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Ends_should_be_seen_across_process_namespaces(bool isHostApart)
    {
        var obstacle = await Privileges.FindObstacleAsync(Privileges.InOwnProcessNamespace);
        Skip.IfNot(obstacle is null, obstacle);
        string[] apart = Privileges.InOwnProcessNamespace;
        await using var domain = isHostApart
            ? await EngineDomain.StartThroughAsync(apart, hosts: 1, "--reopen-window", "1h")
            : await EngineDomain.StartAsync(hosts: 1, "--reopen-window", "1h");
        string[] through = isHostApart ? [] : apart;

        // Two schedulers and two workers, which to one another or to the host may all have the same number.
        var first = await domain.StartSchedulerAsync("first", through);
        var second = await domain.StartSchedulerAsync("second", through);
        await first.DoAsync(domain.OpenPoolCommand("first", Shape));
        await second.DoAsync(domain.OpenPoolCommand("second", Shape));
        var worker = domain.StartProbe(through);
        var otherWorker = domain.StartProbe(through);
        await worker.DoAsync(domain.AttachCommand("first", 0));
        await otherWorker.DoAsync(domain.AttachCommand("second", 0));
        var blocks = BlocksOf(await first.GrantedAsync("allocate pool=first count=4"));
        await worker.DoAsync($"write version=2 blocks={List(blocks)}");
        await first.DoAsync($"cache pool=first block={blocks[0]} tag=kept");
        await second.GrantedAsync("grow pool=second pages=1");

        // A killed worker's seat is free at once, and its data there for the next one.
        await worker.KillAsync();
        var next = domain.StartProbe(through);
        await next.DoAsync(domain.AttachCommand("first", 0));
        await next.UntilAsync("arena", arena => arena.GetProperty("pages").GetInt32() > 0);
        Assert.Equal(0, (await next.DoAsync($"verify version=2 blocks={List(blocks)}")).GetProperty("corrupt").GetInt32());

        // A killed scheduler's pool passes on; its neighbour's session lives.
        await first.KillAsync();
        var successor = await domain.StartSchedulerAsync("first", through);
        await successor.UntilAsync(domain.OpenPoolCommand("first", Shape), answer => answer.GetProperty("ok").GetBoolean());
        Assert.Equal(blocks[0], (await successor.DoAsync("tagged pool=first")).GetProperty("tagged").GetProperty("kept").GetInt32());
        await second.GrantedAsync("grow pool=second pages=1");
        Assert.True((await otherWorker.DoAsync("arena")).GetProperty("attached").GetBoolean());
    }
}
