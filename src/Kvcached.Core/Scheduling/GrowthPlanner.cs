namespace Kvcached.Core.Scheduling;

/// <summary>
/// Says how many pages one KV group should ask for now: enough that, at the rate at which its blocks have lately been filling up, free ones last
/// until the next grant has come. Backs off from refusals. Not thread-safe; times are monotonic, of any one origin.
/// </summary>
public sealed class GrowthPlanner(GrowthSettings settings)
{
    /// <summary>The steepest growth within so long counts.</summary>
    public static readonly TimeSpan Memory = TimeSpan.FromSeconds(1);

    /// <summary>Pause after the first of several refusals in a row; doubled by each further one up to <see cref="LongestPause"/>.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    /// <summary>Allocations that failed are remembered so long, unless pages come.</summary>
    public static readonly TimeSpan DemandLifetime = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan SampleInterval = Memory / SampleCount;

    private const int SampleCount = 32;

    private readonly (TimeSpan At, long Occupied)[] _samples = new (TimeSpan, long)[SampleCount];
    private int _taken;
    private TimeSpan _pausedUntil = TimeSpan.MinValue;
    private TimeSpan _pause = FirstPause;
    private long _demandBlocks;
    private TimeSpan _demandUntil = TimeSpan.MinValue;

    /// <summary>Net growth in blocks per second: the steepest from any recent moment until the last observation; 0 when it shrinks.</summary>
    public double BlocksPerSecond { get; private set; }

    /// <summary>Free blocks below which more pages are asked for.</summary>
    public long WantedFreeBlocks =>
        _taken == 0 ? 0 : Math.Max(settings.MinimumFreeBlocks, (long)Math.Ceiling(BlocksPerSecond * settings.Horizon.TotalSeconds));

    /// <summary>Takes the count of used and cached blocks into the rate.</summary>
    public void Observe(TimeSpan now, long occupiedBlocks)
    {
        var rate = 0.0;
        for (var i = Math.Max(0, _taken - SampleCount); i < _taken; i++)
        {
            var (at, occupied) = _samples[i % SampleCount];
            if (now - at <= Memory && occupiedBlocks > occupied)
            {
                // Over no less than one interval: a burst is a need, but not yet a rate.
                var elapsed = now - at > SampleInterval ? now - at : SampleInterval;
                rate = Math.Max(rate, (occupiedBlocks - occupied) / elapsed.TotalSeconds);
            }
        }

        BlocksPerSecond = rate;
        if (_taken == 0 ? occupiedBlocks > 0 : now - _samples[(_taken - 1) % SampleCount].At >= SampleInterval)
        {
            _samples[_taken++ % SampleCount] = (now, occupiedBlocks);
        }
    }

    /// <summary>So many blocks were asked for beyond those that were free, and not had.</summary>
    public void Missed(TimeSpan now, long blocks)
    {
        _demandBlocks = Math.Max(now < _demandUntil ? _demandBlocks : 0, blocks);
        _demandUntil = now + DemandLifetime;
    }

    /// <summary>Pages to ask for now; 0 when there are enough, when they are coming, when there is no virtual room, or soon after a refusal.</summary>
    public int PagesToRequest(TimeSpan now, in GrowthState state)
    {
        var room = (long)settings.VirtualPages - state.HeldPages - state.ComingPages;
        if (now < _pausedUntil || room <= 0)
        {
            return 0;
        }

        var wanted = WantedFreeBlocks + (now < _demandUntil ? _demandBlocks : 0);
        var missing = wanted - state.FreeBlocks - ((long)state.ComingPages * settings.LeastBlocksPerPage);
        return missing <= 0
            ? 0
            : (int)Math.Min(Math.Min(room, settings.MaxRequestPages), (missing + settings.LeastBlocksPerPage - 1) / settings.LeastBlocksPerPage);
    }

    /// <summary>Pages came.</summary>
    public void Granted()
    {
        _pause = FirstPause;
        _pausedUntil = TimeSpan.MinValue;
        _demandBlocks = 0;
    }

    /// <summary>A request was refused: others need the memory more, or somebody is away.</summary>
    public void Refused(TimeSpan now)
    {
        _pausedUntil = now + _pause;
        _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
    }
}
