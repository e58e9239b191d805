using System.Collections.Immutable;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Coordination;

/// <content>The picture for management.</content>
internal sealed partial class DomainState
{
    public DomainProtocol.DomainDescription Describe() => new(
        _settings.Domain, Epoch, _settings.ExpectedHosts, IsRecovering,
        [.. _ranks.Values.OrderBy(r => r.Gpu).Select(DescribeGpu)],
        [.. _pools.Values.OrderBy(p => p.Id).Select(DescribePool)],
        Meters.Read());

    private static DomainProtocol.GpuDescription DescribeGpu(RankView view) => new(
        view.Gpu, view.Incarnation, view.Address, view.DeviceName, view.Backend, view.IsAvailable,
        view.Ledger.CapacityBytes, view.Ledger.Entries.Sum(e => e.UsedBytes), view.Ledger.Entries.Sum(e => e.ReservedBytes),
        view.Ledger.Entries.Sum(e => e.QuarantinedBytes), view.Ledger.UnheldBytes);

    private DomainProtocol.PoolDescription DescribePool(PoolState pool)
    {
        ImmutableArray<Core.Paging.Extent> mapped = [.. pool.Table.Enumerate()];
        ImmutableArray<Core.Paging.Extent> warm = [.. pool.Warm.Select(w => w.Extent).Where(e => pool.Holds(e))];
        return new DomainProtocol.PoolDescription(
            pool.Id, pool.Spec.Name,
            _sessions.TryGetValue(pool.Owner, out var session) ? session.EngineName : string.Empty,
            pool.Phase.ToString().ToLowerInvariant(), pool.Gpus,
            mapped.Sum(e => e.PageCount), pool.Spec.Geometry.VirtualPageCounts.Sum(count => (long)count), mapped.Length,
            [.. Enumerable.Range(0, pool.RankCount).Select(r => pool.BytesOn(r, mapped))],
            [.. Enumerable.Range(0, pool.RankCount).Select(r => pool.BytesOn(r, warm))],
            pool.Spec.LimitBytes, pool.Spec.FloorBytes, pool.Spec.Weight, pool.Seq, pool.Table.Digest.ToString());
    }
}
