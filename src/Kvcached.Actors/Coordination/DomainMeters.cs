using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Coordination;

/// <summary>Counts and recent latencies of one coordinator.</summary>
internal sealed class DomainMeters
{
    private readonly RecentLatencies _maps = new();
    private readonly RecentLatencies _unmaps = new();

    public long Decisions { get; set; }

    public long Maps { get; private set; }

    public long Unmaps { get; private set; }

    public long Aborts { get; set; }

    public long Refusals { get; set; }

    public long Revokes { get; set; }

    public long Shrinks { get; set; }

    public long DigestMismatches { get; set; }

    public long Quarantines { get; set; }

    public void MapGranted(TimeSpan sinceRequest)
    {
        Maps++;
        _maps.Add(sinceRequest.TotalMilliseconds);
    }

    public void UnmapCompleted(TimeSpan sinceRequest)
    {
        Unmaps++;
        _unmaps.Add(sinceRequest.TotalMilliseconds);
    }

    public DomainProtocol.DomainCounters Read() => new(
        Decisions, Maps, Unmaps, Aborts, Refusals, Revokes, DigestMismatches, Quarantines,
        _maps.Percentile(0.50), _maps.Percentile(0.99), _unmaps.Percentile(0.50));
}
