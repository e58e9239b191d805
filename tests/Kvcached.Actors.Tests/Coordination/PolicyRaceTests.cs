using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Tests.Coordination.Simulation;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Tests.Coordination;

/// <summary>
/// Eight engines that grow and return at random while operators change limits and floors and strangers take and leave the devices at random, and messages wait as long as they
/// like: no grant ever takes a pool above the limit that is in force when it is told, no pool takes another's floor, nothing is lent where strangers leave no room, and all come
/// to rest within limits and room.
/// </summary>
public class PolicyRaceTests
{
    private const int PoolCount = 8;
    private const int CapacityPages = 64;
    private const int StepCount = 400;

    [Theory]
    [InlineData("proportional")]
    [InlineData("priority")]
    public void Random_changes_should_never_let_a_grant_go_above_a_limit_or_into_anothers_floor(string policy)
    {
        Assert.True(SharingPolicies.TryFind(policy, out var sharing));
        var answered = 0;
        for (var seed = 1; seed <= 8; seed++)
        {
            answered += new Race(seed, sharing).Run();
        }

        Assert.True(answered > 150, $"only {answered} changes were carried out in all rounds");
    }

    private sealed class Race
    {
        private readonly Random _random;
        private readonly SimulatedDomain _domain;
        private readonly (SimulatedEngine Engine, PoolId Pool)[] _pools;
        private readonly int _seed;
        private readonly Dictionary<GpuId, long> _claimedBytes = [];
        private long _lastTicket;

        public Race(int seed, ISharingPolicy sharing)
        {
            _seed = seed;
            _random = new Random(seed);
            _domain = new SimulatedDomain(2, CapacityPages, new CoordinatorSettings { Domain = SimulatedDomain.Name, SharingPolicy = sharing });
            _pools = [.. Enumerable.Range(0, PoolCount).Select(i => _domain.AddPool($"p{i}", 64))];
        }

        public int Run()
        {
            for (var step = 0; step < StepCount; step++)
            {
                Act();
                for (var count = _random.Next(12); count > 0 && _domain.Links.Where(l => l.CanDeliver).ToArray() is { Length: > 0 } ready; count--)
                {
                    _domain.Deliver(ready[_random.Next(ready.Length)]);
                    CheckAccounts();
                }
            }

            _domain.Heal();
            _domain.Settle();
            _domain.Advance(30, coarse: true);
            QuietRules.CheckQuiet(_domain);
            foreach (var pool in _domain.Coordinator.Describe().Pools)
            {
                Assert.All(pool.OnGpus, gpu => Assert.True(gpu.HeldBytes <= gpu.LimitBytes, $"seed {_seed}: {pool.Name} rests at {gpu.HeldBytes} of {gpu.LimitBytes}"));
            }

            foreach (var gpu in _domain.Coordinator.Describe().Gpus)
            {
                var (claimed, floors) = ClaimedOn(gpu.Gpu);
                Assert.True(claimed <= Math.Max(floors, RoomOf(gpu)), $"seed {_seed}: pools rest at {claimed} bytes on {gpu.Gpu}, where {gpu.Device}");
            }

            CheckFloorsAreObtainable();
            Assert.Equal(_lastTicket, _domain.OperatorReplies.Count);
            return _domain.OperatorReplies.Values.OfType<OperatorProtocol.PolicyChanged>().Count();
        }

        private void Act()
        {
            var index = _random.Next(PoolCount);
            var (engine, pool) = _pools[index];
            switch (_random.Next(7))
            {
                case 0 or 1:
                    engine.Grow(pool, _random.Next(1, 12), deadlineSeconds: 2);
                    break;
                case 2 when engine.Held.TryGetValue(pool, out var held) && held.Count > 0:
                    engine.Free(pool, [.. held.Where(_ => _random.Next(2) == 0).DefaultIfEmpty(held.First())]);
                    break;
                case 3 when engine.Held.TryGetValue(pool, out var some):
                    engine.ReportWarm(pool, _random.Next(10), some.Where(_ => _random.Next(2) == 0));
                    break;
                case 4:
                    _domain.Coordinator.ChangePolicy(_domain.Now, ++_lastTicket, new OperatorProtocol.ChangePolicy($"p{index}", RandomChange()));
                    break;
                case 5:
                    var rank = _domain.Ranks[_random.Next(_domain.Ranks.Count)];
                    rank.Device = new DeviceShare(CapacityPages * TestPools.PageBytes, _random.Next(CapacityPages) * _random.Next(2) * TestPools.PageBytes, TestPools.PageBytes);
                    _domain.Register(rank);
                    break;
                default:
                    _domain.Advance(0.02);
                    break;
            }

            CheckAccounts();
        }

        private PolicyChange RandomChange() => new(
            RandomAmount(CapacityPages), _random.Next(3) == 0 ? RandomAmount(CapacityPages / PoolCount) : default, _random.Next(4), _random.Next(3) == 0 ? _random.Next(1, 40) : 0);

        private MemoryAmount RandomAmount(int pages) => _random.Next(4) switch
        {
            0 => MemoryAmount.OfPercent(_random.Next(100 * pages / CapacityPages)),
            1 => MemoryAmount.AsOpened,
            _ => MemoryAmount.OfBytes(_random.Next(1, pages) * TestPools.PageBytes),
        };

        /// <summary>What was granted just now was within the limit in force, and left every floor to its pool.</summary>
        private void CheckAccounts()
        {
            var description = _domain.Coordinator.Describe();
            for (var i = 0; i < PoolCount; i++)
            {
                var pool = description.Pools.Single(p => p.Pool == _pools[i].Pool);
                foreach (var gpu in pool.OnGpus.Where(g => g.ReservedBytes > 0))
                {
                    Assert.True(gpu.HeldBytes <= gpu.LimitBytes, $"seed {_seed}: a grant would take {pool.Name} to {gpu.HeldBytes} of {gpu.LimitBytes}");
                }
            }

            foreach (var gpu in description.Gpus)
            {
                var (claimed, floors) = ClaimedOn(gpu.Gpu);
                Assert.True(floors <= gpu.CapacityBytes, $"seed {_seed}: floors exceed {gpu.Gpu}");
                Assert.True(claimed <= gpu.CapacityBytes, $"seed {_seed}: somebody has taken a floor on {gpu.Gpu}");
                Assert.True(claimed <= Math.Max(_claimedBytes.GetValueOrDefault(gpu.Gpu), RoomOf(gpu)), $"seed {_seed}: {claimed} bytes are lent or promised on {gpu.Gpu}, where {gpu.Device}");
                _claimedBytes[gpu.Gpu] = claimed;
            }
        }

        private static long RoomOf(DomainProtocol.GpuDescription gpu) => gpu.Device?.RoomBytes ?? long.MaxValue;

        private (long ClaimedBytes, long FloorBytes) ClaimedOn(GpuId gpu)
        {
            var accounts = _domain.Coordinator.Describe().Pools.SelectMany(p => p.OnGpus).Where(g => g.Gpu == gpu).ToArray();
            return (accounts.Sum(g => Math.Max(g.HeldBytes, g.FloorBytes)), accounts.Sum(g => g.FloorBytes));
        }

        private void CheckFloorsAreObtainable()
        {
            foreach (var (engine, id) in _pools)
            {
                var pool = _domain.Coordinator.Describe().Pools.Single(p => p.Pool == id);
                var pages = (int)(pool.OnGpus.Min(g => g.FloorBytes - g.HeldBytes) / TestPools.PageBytes);
                if (pages > 0)
                {
                    var request = engine.Grow(id, pages);
                    _domain.Settle();
                    Assert.Equal(pages, engine.GrantOf(request).Sum(e => e.PageCount));
                }
            }
        }
    }
}
