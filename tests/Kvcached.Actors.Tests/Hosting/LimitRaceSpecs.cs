using Akka.Actor;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>
/// Eight engines of two real hosts grow and return at once while four operators change limits and floors: no grant takes a pool above its limit, not for a moment, each
/// operator learns what became of each change, and the last revision is in force everywhere.
/// </summary>
public sealed class LimitRaceSpecs : IAsyncLifetime
{
    private const int EngineCount = 8;
    private const int OperatorCount = 4;
    private const int ChangesPerOperator = 25;
    private const int CapacityPages = 256;

    private readonly HostPair _hosts = new();
    private readonly CancellationTokenSource _timeout = new(HostPair.Patience);
    private readonly CancellationTokenSource _over = new();
    private readonly long[] _lastRevision = new long[EngineCount];

    public Task InitializeAsync() => _hosts.InitializeAsync();

    public async Task DisposeAsync()
    {
        await _hosts.DisposeAsync();
        _timeout.Dispose();
        _over.Dispose();
    }

    [Fact]
    public async Task Limits_should_hold_at_every_moment_while_engines_and_operators_race()
    {
        var clients = await Task.WhenAll(Enumerable.Range(0, EngineCount).Select(i =>
            EngineClient.ConnectAsync(HostPair.Options($"e{i}", _hosts[1].Address, _hosts[0].Address), _timeout.Token)));
        var pools = await Task.WhenAll(clients.Select(OpenAsync));
        var engines = pools.Select((pool, i) => Task.Run(() => UseAsync(pool, new Random(i)))).ToArray();
        var observer = Task.Run(ObserveAsync);

        var outcomes = await Task.WhenAll(Enumerable.Range(0, OperatorCount).Select(i => Task.Run(() => ChangeAsync(new Random(100 + i), i))));

        await _over.CancelAsync();
        var grants = await Task.WhenAll(engines);
        Assert.All(grants, count => Assert.True(count > 0, "an engine was never granted anything"));
        Assert.True(await observer > 10, "nobody looked");
        await CheckOutcomesAsync([.. outcomes.SelectMany(told => told)]);

        foreach (var client in clients)
        {
            await client.DisposeAsync();
        }

        _hosts.AssertEmpty();
    }

    private async Task<IEnginePool> OpenAsync(IEngineClient client, int index)
    {
        var opened = await client.OpenPoolAsync(TestPools.Spec(NameOf(index), TestPools.Gpus(2), 128), _timeout.Token);
        Assert.True(opened.IsGranted, opened.Refusal?.ToString());
        return opened.Value!;
    }

    /// <summary>Grows and returns as long as the others are at it; says how often it was granted something.</summary>
    private async Task<int> UseAsync(IEnginePool pool, Random random)
    {
        var granted = 0;
        while (!_over.IsCancellationRequested || granted == 0)
        {
            var grown = await pool.GrowAsync(0, random.Next(1, 12), TimeSpan.FromSeconds(1), _timeout.Token);
            granted += grown.IsGranted ? 1 : 0;
            if (!grown.IsGranted || random.Next(3) == 0)
            {
                await pool.TrimAsync(0, random.Next(4), TimeSpan.Zero, _timeout.Token);
            }
        }

        return granted;
    }

    /// <summary>Looks at the accounts as fast as they are told; says how often.</summary>
    private async Task<int> ObserveAsync()
    {
        var looks = 0;
        for (; !_over.IsCancellationRequested; looks++)
        {
            CheckAccounts(await _hosts.DescribeAsync(_timeout.Token));
        }

        return looks;
    }

    private static void CheckAccounts(DomainProtocol.DomainDescription domain)
    {
        foreach (var pool in domain.Pools)
        {
            foreach (var gpu in pool.OnGpus.Where(on => on.ReservedBytes > 0))
            {
                Assert.True(gpu.HeldBytes <= gpu.LimitBytes, $"a grant takes {pool.Name} to {gpu.HeldBytes} of {gpu.LimitBytes} on {gpu.Gpu}");
            }
        }

        foreach (var gpu in domain.Gpus)
        {
            var claimed = domain.Pools.SelectMany(pool => pool.OnGpus).Where(on => on.Gpu == gpu.Gpu).Sum(on => Math.Max(on.HeldBytes, on.FloorBytes));
            Assert.True(claimed <= gpu.CapacityBytes, $"somebody has taken a floor on {gpu.Gpu}");
        }
    }

    private async Task<List<(int Pool, long Revision, OperatorProtocol.IReply Reply)>> ChangeAsync(Random random, int host)
    {
        var coordinator = ActorRegistry.For(_hosts[host % 2].System).Get<CoordinatorProxy>();
        var told = new List<(int, long, OperatorProtocol.IReply)>();
        for (var i = 0; i < ChangesPerOperator; i++)
        {
            var pool = random.Next(EngineCount);
            var revision = Interlocked.Increment(ref _lastRevision[pool]);
            var limit = random.Next(2) == 0 ? MemoryAmount.OfPercent(random.Next(13, 40)) : MemoryAmount.OfBytes(random.Next(CapacityPages / EngineCount, CapacityPages) * TestPools.PageBytes);
            var change = new PolicyChange(limit, MemoryAmount.OfBytes(random.Next(CapacityPages / EngineCount) * TestPools.PageBytes), random.Next(1, 5), revision);
            told.Add((pool, revision, await coordinator.Ask<OperatorProtocol.IReply>(new OperatorProtocol.ChangePolicy(NameOf(pool), change), HostPair.Patience, _timeout.Token)));
        }

        return told;
    }

    /// <summary>Every change has an outcome, and of those that were carried out the last one is in force, and on every host's books.</summary>
    private async Task CheckOutcomesAsync(List<(int Pool, long Revision, OperatorProtocol.IReply Reply)> told)
    {
        Assert.Equal(OperatorCount * ChangesPerOperator, told.Count);
        Assert.All(told, one => Assert.True(
            one.Reply is OperatorProtocol.PolicyChanged or OperatorProtocol.OperatorRefused { Refusal.Reason: Core.Decisions.RefusalReason.FloorDoesNotFit }, $"{one.Reply}"));
        var domain = await _hosts.DescribeAsync(_timeout.Token);
        foreach (var changes in told.GroupBy(one => one.Pool))
        {
            var carriedOut = changes.Where(one => one.Reply is OperatorProtocol.PolicyChanged { Outcome: PolicyOutcome.Applied or PolicyOutcome.Deferred }).ToArray();
            if (carriedOut.Length == 0)
            {
                continue;
            }

            var last = carriedOut.MaxBy(one => one.Revision);
            var inForce = ((OperatorProtocol.PolicyChanged)last.Reply).Policy!;
            Assert.Equal(last.Revision, domain.Pools.Single(pool => pool.Name == NameOf(changes.Key)).Revision);
            Assert.All(new[] { _hosts[0], _hosts[1] }, host => Assert.Equal(inForce, host.State.Policies.All.Single(policy => policy.Pool == NameOf(changes.Key))));

            // Who came too late was told so, by the number that was in force then.
            Assert.All(changes.Select(one => one.Reply).OfType<OperatorProtocol.PolicyChanged>().Where(changed => changed.Outcome == PolicyOutcome.Stale),
                stale => Assert.InRange(stale.Revision, 1, last.Revision));
        }

        Assert.Contains(told, one => one.Reply is OperatorProtocol.PolicyChanged { Outcome: PolicyOutcome.Applied });
    }

    private static string NameOf(int engine) => $"p{engine}";
}
