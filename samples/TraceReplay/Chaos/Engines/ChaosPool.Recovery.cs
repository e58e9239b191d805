using System.Collections.Immutable;
using System.Text.Json;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>How far a pool is back at work.</summary>
/// <param name="IsWhole">True when it granted a page, all its blocks were verified on every rank, and all ranks have the same layout.</param>
/// <param name="Withdrawn">Why its library says that it can't be used any more; null while it can, or nobody can say.</param>
/// <param name="Problem">Why it isn't whole; null when it is.</param>
internal readonly record struct PoolProof(bool IsWhole, RefusalReason? Withdrawn, string? Problem);

/// <content>Proves that the pool works, and checks what successors find.</content>
internal sealed partial class ChaosPool
{
    /// <summary>Stamps per message.</summary>
    private const int MaxBatch = 2048;

    /// <summary>Layouts may differ while a decision is on its way to the ranks; not for longer.</summary>
    private static readonly TimeSpan LayoutPatience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LayoutInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Times that ranks had different layouts though nothing was under way.</summary>
    public int DivergentLayouts { get; private set; }

    /// <summary>Blocks checked by <see cref="ProveAsync"/>.</summary>
    public long ProvenBlocks { get; private set; }

    /// <summary>Times that the pool was opened with nothing in it.</summary>
    public int BeginCount { get; private set; }

    /// <summary>Asks for a page, verifies everything that was written, on every rank, and compares the ranks' layouts.</summary>
    public async Task<PoolProof> ProveAsync(CancellationToken cancellation)
    {
        await Gate.WaitAsync(cancellation);
        try
        {
            var grown = EngineAnswer.RefusalOf(await AskSchedulerAsync($"grow pool={_name} pages=1 deadline=2"));
            if (grown is not null)
            {
                return new PoolProof(false, await FindWithdrawnAsync(), $"{_name} was refused a page: {grown}");
            }

            ImmutableArray<StampedBlock> all;
            lock (_lock)
            {
                all = _book.Stamped;
            }

            foreach (var batch in all.Chunk(MaxBatch))
            {
                var outcome = await VerifyStampsAsync(0, [.. batch], cancellation);
                if (!outcome.IsComplete)
                {
                    return new PoolProof(false, null, $"{_name}: a worker could not verify its blocks.");
                }
            }

            ProvenBlocks += all.Length;
            if (await FindDivergenceAsync(cancellation) is { } difference)
            {
                DivergentLayouts++;
                FirstViolation ??= difference;
            }

            await AskSchedulerAsync($"trim pool={_name} keep=0 deadline=2");
            await CountPagesAsync();
            return new PoolProof(true, null, null);
        }
        finally
        {
            Gate.Release();
        }
    }

    /// <summary>A successor, with the pool open, takes over what its predecessor had. Called with the gate held.</summary>
    public async Task<Refusal?> TakeOverAsync(EngineChild successor)
    {
        var tagged = await successor.AskAsync($"tagged pool={_name}");
        if (EngineAnswer.RefusalOf(tagged) is { } refusal)
        {
            return refusal;
        }

        var found = tagged!.Value.GetProperty("tagged").EnumerateObject().ToDictionary(tag => tag.Name, tag => tag.Value.GetInt32(), StringComparer.Ordinal);
        TakeOverPlan plan;
        lock (_lock)
        {
            plan = _book.TakeOver(found);
        }

        if (!plan.Missing.IsEmpty)
        {
            FirstViolation ??= $"{_name}: the successor of its scheduler did not find {plan.Missing.Length} of {plan.Missing.Length + plan.Kept.Length} tagged blocks, the first {plan.Missing[0]}.";
        }

        if (!plan.Foreign.IsEmpty)
        {
            FirstViolation ??= $"{_name}: the successor of its scheduler found {plan.Foreign.Length} tags that are wrong, the first on {plan.Foreign[0]}.";
        }

        foreach (var batch in plan.Kept.Concat(plan.Surplus).Chunk(MaxBatch))
        {
            if (EngineAnswer.RefusalOf(await successor.AskAsync($"take-cached pool={_name} blocks={string.Join(',', batch)}")) is { } notTaken)
            {
                return notTaken;
            }
        }

        // When something is missing the rest is given back as well, and the engine begins anew: it must not read what isn't there.
        var toFree = plan.Missing.IsEmpty ? plan.Surplus : [.. plan.Kept, .. plan.Surplus];
        var notFreed = toFree.IsEmpty ? null : EngineAnswer.RefusalOf(await successor.AskAsync($"free pool={_name} blocks={string.Join(',', toFree)}"));
        if (!plan.Missing.IsEmpty)
        {
            Begin(Id, isAnew: true);
        }

        return notFreed;
    }

    /// <summary>The pool was opened, or opened anew after its data was lost. Called with the gate held.</summary>
    public void Begin(PoolId id, bool isAnew)
    {
        lock (_lock)
        {
            Id = id;
            BeginCount++;
            _book.Clear();
            _mappedPages = 0;
            _isReset |= isAnew;
        }
    }

    /// <summary>Why the scheduler's library says that the pool can't be used any more; null while it can. Called with the gate held.</summary>
    public async Task<RefusalReason?> FindWithdrawnAsync() => EngineAnswer.WithdrawnFor(await AskSchedulerAsync($"pool-stats pool={_name}"));

    /// <summary>True when a worker has everything mapped that its scheduler holds. Called with the gate held.</summary>
    public async Task<bool> IsCompleteAsync(EngineChild worker)
    {
        if (await AskSchedulerAsync($"pool-stats pool={_name}") is not { } stats || !EngineAnswer.IsOk(stats)
            || await worker.AskAsync("arena") is not { } arena || !EngineAnswer.IsOk(arena))
        {
            return false;
        }

        return arena.GetProperty("attached").GetBoolean() && arena.GetProperty("pages").GetInt32() == stats.GetProperty("mappedPages").GetInt32();
    }

    private async Task<string?> FindDivergenceAsync(CancellationToken cancellation)
    {
        var begin = _time.GetTimestamp();
        while (true)
        {
            var answers = await Task.WhenAll(_workers.Select(worker => worker?.AskAsync("arena") ?? Task.FromResult<JsonElement?>(null)));
            if (answers.Any(answer => answer is null || !EngineAnswer.IsOk(answer)))
            {
                return null;
            }

            string[] digests = [.. answers.Select(answer => answer!.Value.GetProperty("digest").GetString()!)];
            if (digests.Distinct(StringComparer.Ordinal).Count() == 1)
            {
                return null;
            }

            if (_time.GetElapsedTime(begin) > LayoutPatience)
            {
                return $"{_name}: its ranks have different layouts: {string.Join(", ", digests)}";
            }

            await Task.Delay(LayoutInterval, _time, cancellation);
        }
    }
}
