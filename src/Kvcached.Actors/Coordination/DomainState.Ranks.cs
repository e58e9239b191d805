using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Coordination;

/// <content>Ranks as they come, report, vanish and come back.</content>
internal sealed partial class DomainState
{
    /// <summary>True while some rank hasn't said yet what it holds.</summary>
    public bool IsRecovering => _ranks.Values.Any(r => !r.HasReported) || _pools.Values.Any(p => p.Phase == PoolPhase.Recovering);

    /// <summary>
    /// True while hosts that the domain should have may still turn up with pools of an earlier coordinator: for one lease, since
    /// sessions that nobody renewed so long are over.
    /// </summary>
    private bool IsSettling =>
        _now - _startedAt < _settings.SessionLease && (IsRecovering || _ranks.Count < _settings.ExpectedHosts);

    /// <summary>Why a registration can't be accepted; null when it can.</summary>
    public Refusal? FindRegistrationProblem(RankProtocol.RegisterRank registration) =>
        registration.Domain == _settings.Domain && registration.CapacityBytes > 0 && registration.GranularityBytes > 0
            ? null
            : new Refusal(RefusalReason.UnknownDomain,
                $"{registration.Gpu} of domain '{registration.Domain}', with {registration.CapacityBytes} bytes in pages of {registration.GranularityBytes}, can't join domain '{_settings.Domain}'.");

    /// <summary>
    /// A rank makes itself known. A new one is asked what it holds; one that is known is left alone, unless its process is another one.
    /// </summary>
    /// <param name="now">Time on the coordinator's clock.</param>
    /// <param name="registration">What it says of itself.</param>
    /// <param name="address">Address of its node, for people.</param>
    public void RegisterRank(TimeSpan now, RankProtocol.RegisterRank registration, string address)
    {
        _now = now;
        if (registration.HighestEpoch > Epoch)
        {
            _port.StepDown(registration.HighestEpoch);
            return;
        }

        if (_ranks.TryGetValue(registration.Gpu, out var known))
        {
            if (known.Incarnation == registration.Incarnation)
            {
                SetReachable(known, true);
                known.Awaited = registration.IsRecovering ? registration.Awaited : null;
                TakeDevice(known, registration.Device);
                TakeDraining(known, registration.IsDraining);
                if (!known.HasReported && known.Awaited is null)
                {
                    _port.ToRank(known.Gpu, new RankProtocol.ReportRank(Epoch));
                }

                return;
            }

            RankLost(now, known.Gpu, known.Incarnation, $"its host was replaced by {registration.Incarnation}");
        }

        var view = new RankView(registration, address);
        _ranks[registration.Gpu] = view;
        _ranksVersion++;
        TakeDevice(view, registration.Device);
        Note(DomainEventKinds.HostJoined, $"{registration.DeviceName}, at {address}", gpu: registration.Gpu);
        if (!registration.IsRecovering)
        {
            _port.ToRank(registration.Gpu, new RankProtocol.ReportRank(Epoch));
        }
    }

    /// <summary>A rank says what it holds, in answer to <see cref="RankProtocol.ReportRank"/>.</summary>
    public void RankReported(TimeSpan now, RankProtocol.RankReported report)
    {
        _now = now;
        if (report.Epoch != Epoch || !_ranks.TryGetValue(report.Gpu, out var view) || view.Incarnation != report.Incarnation || report.Pools.IsDefault)
        {
            return;
        }

        // A second report was asked for before the first came in, and may be older than what was decided since.
        if (view.HasReported)
        {
            return;
        }

        view.HasReported = true;
        _ranksVersion++;

        var policies = _policies.Merge(report.Policies);

        // Nobody is served from what isn't on the accounts yet.
        _isServingWaiters = true;
        foreach (var pool in report.Pools)
        {
            TakeReport(view, pool);
        }

        _isServingWaiters = false;

        // A pool that this coordinator has open there but that the rank doesn't know is lost with the rank's memory of it.
        foreach (var pool in _pools.Values.ToArray())
        {
            var isMissing = pool.RankOf(report.Gpu) >= 0 && report.Pools.All(p => p.Pool != pool.Id);
            if (isMissing && (pool.Phase is PoolPhase.Ready or PoolPhase.Reopening or PoolPhase.Stopped or PoolPhase.Recovering or PoolPhase.Stranded))
            {
                Withdraw(pool, $"{report.Gpu} doesn't hold it any more");
            }

            if (isMissing && pool.Phase == PoolPhase.Lost)
            {
                LetGoOfLost(pool, pool.RankOf(report.Gpu));
            }

            Pump(pool);
        }

        FollowMergedPolicies(policies);
        FollowRoom(view);
        MemoryWasFreed();
    }

    /// <summary>The rank's node can't be reached, or can again. Nothing is granted without it meanwhile.</summary>
    public void RankReachable(TimeSpan now, GpuId gpu, HostIncarnation incarnation, bool isReachable)
    {
        _now = now;
        if (IsCurrent(gpu, incarnation))
        {
            SetReachable(_ranks[gpu], isReachable);
            foreach (var pool in _pools.Values.ToArray())
            {
                Pump(pool);
            }
        }
    }

    /// <summary>The rank's process is gone, and with it the memory of every pool that it mapped itself; what workers have mapped is kept by them.</summary>
    public void RankLost(TimeSpan now, GpuId gpu, HostIncarnation incarnation, string why)
    {
        _now = now;
        if (!IsCurrent(gpu, incarnation))
        {
            return;
        }

        _port.Warn($"{gpu} ({incarnation}) is lost: {why}");
        Note(DomainEventKinds.HostLost, why, gpu: gpu);
        _ranks.Remove(gpu);
        _keepers.Remove(gpu);
        _ranksVersion++;
        foreach (var pool in _pools.Values.Where(p => p.RankOf(gpu) >= 0).ToArray())
        {
            if (pool.Phase == PoolPhase.Closing)
            {
                pool.PhaseAwaiting.Remove(pool.RankOf(gpu));
                FinishClosing(pool);
            }
            else if (pool.Phase == PoolPhase.Opening)
            {
                FailOpening(pool, new Refusal(RefusalReason.RankUnavailable, $"The host of {gpu} ended while pool '{pool.Spec.Name}' was being opened."));
            }
            else if (pool.NeedsWorkers)
            {
                Strand(pool, pool.RankOf(gpu));
            }
            else
            {
                Withdraw(pool, $"the host of {gpu} ended");
            }
        }
    }

    /// <summary>A rank follows a newer coordinator.</summary>
    public void EpochRefused(TimeSpan now, RankProtocol.EpochRefused reply)
    {
        _now = now;
        if (reply.Current > Epoch)
        {
            _port.StepDown(reply.Current);
        }
    }

    /// <summary>Extents that were quarantined on a rank are free there now.</summary>
    public void QuarantineCleared(TimeSpan now, RankProtocol.QuarantineCleared reply)
    {
        _now = now;

        // A rank that has closed the pool has no account of it any more; its last words may come late.
        if (IsCurrent(reply.Gpu, reply.Incarnation) && _pools.TryGetValue(reply.Pool, out var pool) && !reply.Extents.IsDefault
            && pool.Phase is not (PoolPhase.Closing or PoolPhase.Lost) && pool.RankOf(reply.Gpu) is var rank and >= 0 && !pool.AwaitedHosts.ContainsKey(rank))
        {
            SettleLeaving(pool, rank, reply.Extents, []);
            MemoryWasFreed();
            Pump(pool);
        }
    }

    private void SetReachable(RankView view, bool isReachable)
    {
        if (view.IsReachable != isReachable)
        {
            view.IsReachable = isReachable;
            _ranksVersion++;
        }
    }

    /// <summary>The pool's ranks as they are known now.</summary>
    private PoolRanks RanksOf(PoolState pool) => pool.Ranks is { } ranks && ranks.Version == _ranksVersion ? ranks : LookUpRanks(pool);

    private PoolRanks LookUpRanks(PoolState pool)
    {
        ImmutableArray<RankView?> views = [.. pool.Gpus.Select(gpu => _ranks.GetValueOrDefault(gpu))];
        return pool.Ranks = new PoolRanks
        {
            Version = _ranksVersion,
            Views = views,
            Accounts = [.. views.Select(view => view?.Ledger.FindAccount(pool.Id))],
            Unavailable = pool.Gpus.Where((_, rank) => views[rank] is not { IsAvailable: true }).Cast<GpuId?>().FirstOrDefault(),
            Draining = pool.Gpus.Where((_, rank) => views[rank] is { IsDraining: true }).Cast<GpuId?>().FirstOrDefault(),
            LargestOrders = [.. Enumerable.Range(0, pool.PageIds.Length).Select(group => LargestOrder(pool, views, group))],
        };
    }

    private byte LargestOrder(PoolState pool, ImmutableArray<RankView?> views, int group)
    {
        var order = Extent.MaxOrder;
        for (var rank = 0; rank < views.Length; rank++)
        {
            if (views[rank] is { } view)
            {
                var bytesPerPageId = pool.Layouts[rank].ShapeOf(group).BytesPerPageId;
                order = Math.Min(order, ExtentCap.LargestOrder(TermsOf(pool.Spec, view).LimitBytes, bytesPerPageId, _settings.ExtentShareDivisor));
            }
        }

        return order;
    }

    private bool IsCurrent(GpuId gpu, HostIncarnation incarnation) => _ranks.TryGetValue(gpu, out var view) && view.Incarnation == incarnation;

    /// <summary>
    /// The pool's data is gone. Its engine is told; what its workers have mapped is left to them until it is quiet, the rest is released at once.
    /// </summary>
    private void Withdraw(PoolState pool, string why)
    {
        if (pool.NeedsWorkers && pool.Owner != default && MayBeInUse(pool))
        {
            Lose(pool, why);
        }
        else
        {
            WithdrawNow(pool, why);
        }
    }

    private void WithdrawNow(PoolState pool, string why)
    {
        _port.Warn($"{pool.Id} ('{pool.Spec.Name}') is withdrawn: {why}");
        BeginClosing(pool, null, new Refusal(RefusalReason.PoolLost, $"Pool '{pool.Spec.Name}' lost its memory: {why}. Its blocks are gone; open it anew."));
    }
}
