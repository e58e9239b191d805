using System.Diagnostics.Metrics;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Telemetry;
using Kvcached.Core.Decisions;

namespace Kvcached.Actors.Coordination;

/// <summary>Counts and recent latencies of one coordinator; what it counts goes to <see cref="KvcachedMeter"/> too.</summary>
internal sealed class DomainMeters
{
    private readonly RecentLatencies _maps = new();
    private readonly RecentLatencies _unmaps = new();

    public long Decisions
    {
        get;
        set => field = Count(KvcachedMeter.Decisions, field, value);
    }

    public long Maps { get; private set; }

    public long Unmaps { get; private set; }

    public long Aborts
    {
        get;
        set => field = Count(KvcachedMeter.Aborts, field, value);
    }

    public long Refusals { get; private set; }

    public long Revokes
    {
        get;
        set => field = Count(KvcachedMeter.Revokes, field, value);
    }

    public long Shrinks
    {
        get;
        set => field = Count(KvcachedMeter.Shrinks, field, value);
    }

    public long DigestMismatches
    {
        get;
        set => field = Count(KvcachedMeter.DigestMismatches, field, value);
    }

    public long Quarantines
    {
        get;
        set => field = Count(KvcachedMeter.Quarantines, field, value);
    }

    public void Refused(RefusalReason reason)
    {
        Refusals++;
        KvcachedMeter.Refusals.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
    }

    public static void MapDecided(TimeSpan sinceRequest) => KvcachedMeter.MapWaitSeconds.Record(sinceRequest.TotalSeconds);

    public static void RankAnswered(double driverMicroseconds) => KvcachedMeter.DriverSeconds.Record(driverMicroseconds / 1e6);

    public void MapGranted(TimeSpan sinceRequest, TimeSpan sinceDecision)
    {
        Maps++;
        _maps.Add(sinceRequest.TotalMilliseconds);
        KvcachedMeter.Maps.Add(1);
        KvcachedMeter.MapSeconds.Record(sinceRequest.TotalSeconds);
        KvcachedMeter.MapGatherSeconds.Record(sinceDecision.TotalSeconds);
    }

    public void UnmapCompleted(TimeSpan sinceRequest)
    {
        Unmaps++;
        _unmaps.Add(sinceRequest.TotalMilliseconds);
        KvcachedMeter.Unmaps.Add(1);
        KvcachedMeter.UnmapSeconds.Record(sinceRequest.TotalSeconds);
    }

    public DomainProtocol.DomainCounters Read() => new(
        Decisions, Maps, Unmaps, Aborts, Refusals, Revokes, DigestMismatches, Quarantines,
        _maps.Percentile(0.50), _maps.Percentile(0.99), _unmaps.Percentile(0.50));

    private static long Count(Counter<long> counter, long before, long now)
    {
        counter.Add(now - before);
        return now;
    }
}
