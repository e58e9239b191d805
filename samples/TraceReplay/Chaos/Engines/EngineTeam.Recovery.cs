using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <content>Coming back after a fault.</content>
internal sealed partial class EngineTeam
{
    /// <summary>Why the last request of its processes was refused, for messages.</summary>
    public string? LastRefusal { get; private set; }

    /// <summary>
    /// Tries until the pool grants and verifies again on every rank; opens it anew when its data is gone. Null, or what was still in the way when the time
    /// was over.
    /// </summary>
    public async Task<string?> RecoverAsync(CancellationToken limit)
    {
        var problem = LastRefusal;
        try
        {
            while (true)
            {
                var proof = await pool.ProveAsync(limit);
                if (proof.IsWhole)
                {
                    return null;
                }

                problem = proof.Problem;
                if (proof.Withdrawn == RefusalReason.UnknownSession)
                {
                    // As a real one would: it ends, and its successor takes the pool over.
                    await KillSchedulerAsync();
                    await ReplaceSchedulerAsync(limit);
                }
                else if (proof.Withdrawn is not null)
                {
                    await ReopenAsync(limit);
                }
                else
                {
                    await AttachMissingAsync(limit);
                    await Task.Delay(RetryInterval, context.Time, limit);
                }
            }
        }
        catch (OperationCanceledException)
        {
            return problem ?? $"{plan.Name} did not come back in time.";
        }
    }

    /// <summary>Stops the scheduler until its successor has the pool; then lets it go on, and sees that it gets nothing.</summary>
    public async Task OutliveLeaseAsync(CancellationToken limit)
    {
        var old = Scheduler;
        old.Signal(Signals.Stop);
        try
        {
            pool.Scheduler = null;
            old.Abandon();
            await ReplaceSchedulerAsync(limit);

            // Asked while it sleeps, so that it is the first that it does.
            var allocated = old.AskAbandonedAsync($"allocate pool={plan.Name} count=1 deadline=1");
            var grown = old.AskAbandonedAsync($"grow pool={plan.Name} pages=1 deadline=1");
            old.Signal(Signals.Continue);
            foreach (var answer in await Task.WhenAll(allocated, grown))
            {
                StaleGrants += answer is not null && EngineAnswer.IsOk(answer) ? 1 : 0;
            }
        }
        finally
        {
            old.Signal(Signals.Continue);
            await old.KillAsync();
        }
    }

    private async Task ReopenAsync(CancellationToken cancellation)
    {
        await pool.Gate.WaitAsync(cancellation);
        try
        {
            // The library unmaps behind this close, so that nobody may touch the memory any more when it is sent.
            await QuietAsync();
            await Scheduler.AskAsync($"close-pool pool={plan.Name} deadline=5");
            await Task.WhenAll(_workers.Select(worker => worker.AskAsync("detach deadline=10")));
            await BeginAnewAsync(await OpenPoolAsync(Scheduler, cancellation), cancellation);
        }
        finally
        {
            pool.Gate.Release();
        }
    }

    /// <summary>Gives workers nothing more to do, and waits until they have done what they were given.</summary>
    private async Task QuietAsync()
    {
        Array.Fill(pool.Workers, null);
        await Task.WhenAll(_workers.Select(worker => worker.AskAsync("process")));
    }

    /// <summary>A new pool under the old name: no byte of the old one counts, and workers attach to it afresh.</summary>
    private async Task BeginAnewAsync(PoolId id, CancellationToken cancellation)
    {
        await QuietAsync();
        pool.Begin(id, isAnew: true);
        ResetCount++;
        await Task.WhenAll(Enumerable.Range(0, plan.RankCount).Select(rank => AttachAsync(rank, cancellation)));
    }

    /// <summary>Attaches those workers that an earlier attempt, whose time was over, did not.</summary>
    private async Task AttachMissingAsync(CancellationToken cancellation)
    {
        await pool.Gate.WaitAsync(cancellation);
        try
        {
            await Task.WhenAll(Enumerable.Range(0, plan.RankCount).Where(rank => pool.Workers[rank] is null).Select(rank => AttachAsync(rank, cancellation)));
        }
        finally
        {
            pool.Gate.Release();
        }
    }
}
