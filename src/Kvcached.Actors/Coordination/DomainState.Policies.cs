using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// What operators lay down for pools: judged by its number, checked against every GPU of the pool before any is changed, and in force from that moment. Every
/// rank keeps all of it on disk, and the caller is told when they have.
/// </content>
internal sealed partial class DomainState
{
    private readonly PolicyBook _policies = new();
    private readonly Dictionary<GpuId, KeptPolicies> _keepers = [];
    private readonly List<PendingPolicy> _pendingPolicies = [];

    /// <param name="SentVersion">The last version that the rank was sent.</param>
    /// <param name="KeptVersion">The last version that it has on disk.</param>
    /// <param name="SentAt">When it was sent.</param>
    private readonly record struct KeptPolicies(long SentVersion, long KeptVersion, TimeSpan SentAt);

    private sealed record PendingPolicy(long Ticket, long Version, TimeSpan DeadlineAt, OperatorProtocol.PolicyChanged Answer);

    /// <summary>An operator changes what a pool may have.</summary>
    /// <param name="now">Time on the coordinator's clock.</param>
    /// <param name="ticket">Names the caller to <see cref="ICoordinatorPort.ToOperator"/>.</param>
    /// <param name="command">The change.</param>
    public void ChangePolicy(TimeSpan now, long ticket, OperatorProtocol.ChangePolicy command)
    {
        _now = now;
        if (FindPoolForOperator(command.Pool, out var refusal) is not { } pool)
        {
            RefuseOperator(ticket, refusal!);
            return;
        }

        var change = command.Change;
        if (FindChangeProblem(change) is { } problem)
        {
            RefuseOperator(ticket, problem);
            return;
        }

        if (FindGpusOf(pool, command, out var gpus) is { } unclear)
        {
            RefuseOperator(ticket, unclear);
            return;
        }

        switch (_policies.Judge(pool.Spec.Name, change, gpus, Epoch, out var policy))
        {
            case RevisionVerdict.Stale:
                AnswerPolicy(ticket, pool, PolicyOutcome.Stale);
                return;
            case RevisionVerdict.Conflict:
                AnswerPolicy(ticket, pool, PolicyOutcome.Conflict);
                return;
            case RevisionVerdict.Repeated:
                AnswerPolicy(ticket, pool, OutcomeOf(pool));
                return;
        }

        if (FindTermsProblem(pool, policy) is { } unfit)
        {
            RefuseOperator(ticket, unfit);
            return;
        }

        _policies.Set(policy, _poolNames.ContainsKey);
        Apply(pool, policy);
        AnswerPolicy(ticket, pool, OutcomeOf(pool));
    }

    /// <summary>A rank has all policies of that version on disk, or can't write them.</summary>
    public void PoliciesKept(TimeSpan now, RankProtocol.PoliciesKept reply)
    {
        _now = now;
        if (reply.Epoch != Epoch || !IsCurrent(reply.Gpu, reply.Incarnation))
        {
            return;
        }

        if (reply.Problem.Length > 0)
        {
            _port.Warn($"{reply.Gpu} doesn't keep what was laid down for pools; it will be forgotten when all hosts end: {reply.Problem}");
        }
        else if (_keepers.TryGetValue(reply.Gpu, out var keeper))
        {
            _keepers[reply.Gpu] = keeper with { KeptVersion = Math.Max(keeper.KeptVersion, reply.Version) };
        }

        FollowKeepers();
    }

    /// <summary>What the pool may have on that rank.</summary>
    private SharingTerms TermsOf(PoolSpec spec, RankView view) => _policies.TermsOf(spec, view.Gpu, view.Ledger.CapacityBytes);

    /// <summary>A rank has come that knew of later changes for pools that were open before it came; whoever hasn't the latest on disk is told.</summary>
    private void FollowMergedPolicies(ImmutableArray<PoolPolicy> merged)
    {
        foreach (var policy in merged)
        {
            if (!_poolNames.TryGetValue(policy.Pool, out var id))
            {
                continue;
            }

            var pool = _pools[id];
            if (FindTermsProblem(pool, policy, isKept: true) is { } unfit)
            {
                _port.Warn($"What was laid down for pool '{pool.Spec.Name}' under revision {policy.Revision} no longer fits: {unfit.Detail}");
            }
            else
            {
                Apply(pool, policy);
            }
        }

        FollowKeepers();
    }

    private static Refusal? FindChangeProblem(in PolicyChange change)
    {
        if (!change.Limit.IsSound || !change.Floor.IsSound)
        {
            return new Refusal(RefusalReason.BadLimit, $"Limit '{change.Limit}', floor '{change.Floor}': give bytes from 0, 0 to 100 percent, or '{MemoryAmount.AsOpenedText}'.");
        }

        if (change.Weight is < PolicyChange.WeightAsOpened or > PoolPolicy.MaxWeight || change.Revision < 0)
        {
            return new Refusal(RefusalReason.BadLimit, $"Weight {change.Weight}, revision {change.Revision}: the weight is 1 to {PoolPolicy.MaxWeight}, the revision at least 1.");
        }

        return change is { Limit.IsNone: true, Floor.IsNone: true, Weight: 0 }
            ? new Refusal(RefusalReason.BadLimit, "Nothing is to be changed: give a limit, a floor or a weight.")
            : null;
    }

    /// <summary>Why the pool can't have that on some GPU; null when it can on all that are there.</summary>
    /// <param name="pool">The pool.</param>
    /// <param name="policy">What is to be in force.</param>
    /// <param name="isKept">True for what was in force already: it gives way to the limit where it doesn't fit it.</param>
    private Refusal? FindTermsProblem(PoolState pool, PoolPolicy policy, bool isKept = false)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (RanksOf(pool).Views[rank] is not { } view || view.Ledger.FindAccount(pool.Id) is null)
            {
                continue;
            }

            var terms = policy.Over(pool.Spec, view.Gpu, view.Ledger.CapacityBytes);
            var opened = PoolPolicy.TermsOf(pool.Spec, view.Ledger.CapacityBytes);
            if (!isKept && policy.FloorOn(view.Gpu).IsNone && terms.LimitBytes < opened.FloorBytes)
            {
                return new Refusal(RefusalReason.BadLimit,
                    $"{view.Gpu}: a limit of {Core.Units.ByteSize.Format(terms.LimitBytes)} is below the floor of {Core.Units.ByteSize.Format(opened.FloorBytes)} that the engine of '{pool.Spec.Name}' asked for. Give a lower floor with it.",
                    opened.FloorBytes);
            }

            if (!view.Ledger.CanChange(pool.Id, terms.LimitBytes, terms.FloorBytes, terms.Weight, out var refused))
            {
                return DescribeUnfit(refused, view.Gpu);
            }
        }

        return null;
    }

    private Refusal DescribeUnfit(LedgerRefusal refused, GpuId gpu) => refused.Reason == LedgerRefusalReason.LimitBelowFloor
        ? new Refusal(RefusalReason.BadLimit, $"{gpu}: the limit is below the floor of {Core.Units.ByteSize.Format(refused.RequestedBytes)}. Give a lower floor with it, or a higher limit.", refused.RequestedBytes)
        : Describe(refused, gpu);

    /// <summary>Puts terms that were found to fit in force on all ranks of the pool that are there.</summary>
    private void Apply(PoolState pool, PoolPolicy policy)
    {
        for (var rank = 0; rank < pool.RankCount; rank++)
        {
            if (RanksOf(pool).Views[rank] is { } view && view.Ledger.FindAccount(pool.Id) is not null)
            {
                var terms = policy.Over(pool.Spec, view.Gpu, view.Ledger.CapacityBytes);
                if (!view.Ledger.TryChange(pool.Id, terms.LimitBytes, terms.FloorBytes, terms.Weight, out var refused))
                {
                    throw new InvalidOperationException($"The ledger contradicts itself: {refused}");
                }
            }
        }

        // How large extents may be follows the limit.
        pool.Ranks = null;
        Note(DomainEventKinds.PolicyChanged, $"revision {policy.Revision}: limit {TextOf(policy.Limit)}, floor {TextOf(policy.Floor)}, weight {(policy.Weight == 0 ? "as opened" : policy.Weight)}{string.Concat(policy.OnGpus.Select(on => $"; on {on.Gpu} {TextOfOwn(on)}"))}", pool);
        HoldToLimit(pool);
        Pump(pool);
        MemoryWasFreed();

        static string TextOfOwn(GpuPolicy on) => string.Join(", ", ((string[])[on.Limit.IsNone ? string.Empty : $"limit {TextOf(on.Limit)}", on.Floor.IsNone ? string.Empty : $"floor {TextOf(on.Floor)}"]).Where(text => text.Length > 0));

        static string TextOf(MemoryAmount amount) =>
            amount.IsNone ? "as opened" : amount.Unit == MemoryUnit.Bytes ? Core.Units.ByteSize.Format(amount.Value) : amount.ToString();
    }

    private static PolicyOutcome OutcomeOf(PoolState pool) => pool.IsAboveLimit ? PolicyOutcome.Deferred : PolicyOutcome.Applied;

    private void AnswerPolicy(long ticket, PoolState pool, PolicyOutcome outcome)
    {
        var policy = _policies.Find(pool.Spec.Name);
        _pendingPolicies.Add(new PendingPolicy(
            ticket, _policies.Version, _now + _settings.DecisionDeadline,
            new OperatorProtocol.PolicyChanged(pool.Id, pool.Spec.Name, outcome, policy?.Revision ?? 0, policy, DescribeOnGpus(pool))));
        FollowKeepers();
    }

    private void RefuseOperator(long ticket, Refusal refusal) => _port.ToOperator(ticket, new OperatorProtocol.OperatorRefused(refusal));

    /// <summary>Tells ranks what they haven't on disk, one state of affairs at a time, and callers once all have theirs or time is up.</summary>
    private void FollowKeepers()
    {
        var version = _policies.Version;
        var ranks = _ranks.Values.Where(r => r.IsAvailable).ToArray();
        foreach (var rank in ranks)
        {
            var keeper = _keepers.GetValueOrDefault(rank.Gpu);
            var isIdle = keeper.KeptVersion == keeper.SentVersion || _now - keeper.SentAt >= _settings.ResendInterval;
            if (keeper.KeptVersion < version && isIdle)
            {
                _keepers[rank.Gpu] = keeper with { SentVersion = version, SentAt = _now };
                _port.ToRank(rank.Gpu, new RankProtocol.KeepPolicies(Epoch, version, _policies.Policies));
            }
        }

        for (var i = 0; i < _pendingPolicies.Count; i++)
        {
            var pending = _pendingPolicies[i];
            var kept = ranks.Count(r => _keepers.GetValueOrDefault(r.Gpu).KeptVersion >= pending.Version);
            if (kept < ranks.Length && _now < pending.DeadlineAt)
            {
                continue;
            }

            _pendingPolicies.RemoveAt(i--);
            _port.ToOperator(pending.Ticket, pending.Answer with { KeptByHosts = kept, HostCount = ranks.Length });
        }
    }
}
