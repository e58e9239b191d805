using System.Globalization;
using System.Text.Json;
using Kvcached.Core.Ids;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>Where an engine finds its host of each rank.</summary>
/// <param name="Gpus">GPUs in rank order.</param>
/// <param name="Sockets">Engine sockets of their hosts, in rank order.</param>
/// <param name="SchedulerSocket">The socket that its scheduler connects to.</param>
internal sealed record EngineAddress(string[] Gpus, string[] Sockets, string SchedulerSocket);

/// <summary>What all teams need to start processes.</summary>
internal sealed record TeamContext(ReplayBinaries Binaries, ProcessGuard Guard, string Directory, TimeProvider Time);

/// <summary>
/// The processes of one engine and their supervisor: a scheduler and a worker per rank, started again when they were killed. A successor goes on with what
/// its predecessor had, and what it finds is compared with what must be there.
/// </summary>
internal sealed partial class EngineTeam(EnginePlan plan, ChaosPool pool, EngineAddress address, TeamContext context) : IAsyncDisposable
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    private readonly List<EngineChild> _children = [];
    private readonly EngineChild[] _workers = new EngineChild[plan.RankCount];
    private EngineChild? _scheduler;
    private int _lives;

    public string Name => plan.Name;

    public ChaosPool Pool => pool;

    public EngineAddress Address => address;

    public int RankCount => plan.RankCount;

    /// <summary>Times that the pool was opened anew because its data was gone.</summary>
    public int ResetCount { get; private set; }

    /// <summary>Times that a scheduler got something after its lease had ended.</summary>
    public int StaleGrants { get; private set; }

    public EngineChild Scheduler => _scheduler!;

    public EngineChild Worker(int rank) => _workers[rank];

    /// <summary>Starts all processes; returns once the pool is open and every rank attached.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        await pool.Gate.WaitAsync(cancellation);
        try
        {
            _scheduler = await StartSchedulerAsync(cancellation);
            pool.Begin(await OpenPoolAsync(_scheduler, cancellation), isAnew: false);
            pool.Scheduler = _scheduler;
            await Task.WhenAll(Enumerable.Range(0, plan.RankCount).Select(rank => StartWorkerAsync(rank, cancellation)));
        }
        finally
        {
            pool.Gate.Release();
        }
    }

    /// <summary>Kills the worker of a rank and starts another, without waiting until it is complete.</summary>
    public Task KillWorkerAsync(int rank)
    {
        pool.Workers[rank] = null;
        return _workers[rank].KillAsync();
    }

    /// <summary>Starts the worker of a rank anew; returns once it has everything mapped that the pool holds.</summary>
    public async Task RestartWorkerAsync(int rank, CancellationToken cancellation)
    {
        await pool.Gate.WaitAsync(cancellation);
        try
        {
            await StartWorkerAsync(rank, cancellation);
        }
        finally
        {
            pool.Gate.Release();
        }
    }

    public async Task KillSchedulerAsync()
    {
        pool.Scheduler = null;
        await Scheduler.KillAsync();
    }

    /// <summary>Starts a successor, which takes the pool over; if it was lost meanwhile, it is opened anew.</summary>
    public async Task ReplaceSchedulerAsync(CancellationToken cancellation)
    {
        await pool.Gate.WaitAsync(cancellation);
        try
        {
            _scheduler = await StartSchedulerAsync(cancellation);
            await AdoptAsync(_scheduler, cancellation);
        }
        finally
        {
            pool.Gate.Release();
        }
    }

    /// <summary>The process that ended though nobody told it to, or null.</summary>
    public ChildProcess? FindCrashed() => _children.Find(child => !child.IsExpectedToEnd && child.Process.WhenEnded.IsCompleted)?.Process;

    public async ValueTask DisposeAsync()
    {
        foreach (var child in _children)
        {
            // Whatever was left stopped could not end in good order.
            child.Signal(Signals.Continue);
            await child.DisposeAsync();
        }

        pool.Gate.Dispose();
    }

    /// <summary>Closes the pool and the session, detaches all workers, and ends them in good order.</summary>
    public async Task CloseAsync()
    {
        await pool.Gate.WaitAsync();
        try
        {
            await Scheduler.AskAsync($"close-pool pool={plan.Name} deadline=10");
            await Scheduler.AskAsync("close-session");
            await Task.WhenAll(_workers.Select(worker => worker.AskAsync("detach deadline=10")));
            await Task.WhenAll([Scheduler.EndAsync(Grace, context.Time), .. _workers.Select(worker => worker.EndAsync(Grace, context.Time))]);
        }
        finally
        {
            pool.Gate.Release();
        }
    }

    private async Task AdoptAsync(EngineChild successor, CancellationToken cancellation)
    {
        var id = await OpenPoolAsync(successor, cancellation);
        if (id == pool.Id)
        {
            if (await pool.TakeOverAsync(successor) is { } refusal)
            {
                throw new RunFailedException($"the successor of {plan.Name}'s scheduler could not take the pool over: {refusal}");
            }

            pool.Scheduler = successor;
            return;
        }

        pool.Scheduler = successor;
        await BeginAnewAsync(id, cancellation);
    }

    private EngineChild StartChild(string role)
    {
        var name = $"{plan.Name}-{role}-{++_lives}";
        var child = EngineChild.Start(name, context.Binaries, context.Guard, Path.Combine(context.Directory, $"engine-{name}.log"));
        _children.Add(child);
        return child;
    }

    private async Task<EngineChild> StartSchedulerAsync(CancellationToken cancellation)
    {
        var scheduler = StartChild("scheduler");
        await UntilOkAsync(scheduler, $"open-session socket={address.SchedulerSocket} engine={plan.Name} domain={ReplayRun.Domain} timeout=20", cancellation);
        return scheduler;
    }

    private async Task<PoolId> OpenPoolAsync(EngineChild scheduler, CancellationToken cancellation)
    {
        var shape = pool.Spec.Geometry.Ranks[0].Groups[0];
        var opened = await UntilOkAsync(
            scheduler,
            string.Create(
                CultureInfo.InvariantCulture,
                $"open-pool name={plan.Name} gpus={string.Join(',', address.Gpus)} layers={shape.LayerCount} blockBytes={shape.BlockBytes} pages={pool.Spec.Geometry.VirtualPageCounts[0]} evict=0 deadline=5"),
            cancellation);
        return new PoolId(opened.GetProperty("pool").GetInt64());
    }

    private async Task StartWorkerAsync(int rank, CancellationToken cancellation)
    {
        var worker = StartChild($"worker{rank}");
        _workers[rank] = worker;
        await AttachAsync(rank, cancellation);
    }

    private async Task AttachAsync(int rank, CancellationToken cancellation)
    {
        var worker = _workers[rank];
        var isAttached = await HasArenaAsync(worker);
        while (!isAttached || !await pool.IsCompleteAsync(worker))
        {
            cancellation.ThrowIfCancellationRequested();
            if (await pool.FindWithdrawnAsync() is not null)
            {
                // There is nothing to attach to; whoever opens the pool again sees to its workers.
                return;
            }

            if (!isAttached)
            {
                var answer = await worker.AskAsync($"attach socket={address.Sockets[rank]} pool={plan.Name} rank={rank} gpu={address.Gpus[rank]} timeout=2");
                isAttached = EngineAnswer.IsOk(answer);
                LastRefusal = EngineAnswer.RefusalOf(answer)?.ToString() ?? LastRefusal;
                ThrowIfEnded(worker, answer);
            }

            await Task.Delay(RetryInterval, context.Time, cancellation);
        }

        pool.Workers[rank] = worker;
    }

    /// <summary>True when the worker has its arena of this pool already; one of a pool that is gone is closed.</summary>
    private async Task<bool> HasArenaAsync(EngineChild worker)
    {
        if (await worker.AskAsync("arena") is not { } arena || !EngineAnswer.IsOk(arena))
        {
            return false;
        }

        if (arena.GetProperty("poolId").GetInt64() == pool.Id.Value && arena.GetProperty("gone").GetString() is null)
        {
            return true;
        }

        await worker.AskAsync("detach deadline=10");
        return false;
    }

    private static void ThrowIfEnded(EngineChild child, JsonElement? answer)
    {
        if (answer is null)
        {
            throw new RunFailedException($"{child.Process.Name} ended with exit code {child.Process.ExitCode}; its last lines:{Environment.NewLine}{child.Process.Tail()}");
        }
    }

    /// <summary>Asks until it is granted: hosts come and go.</summary>
    private async Task<JsonElement> UntilOkAsync(EngineChild child, string command, CancellationToken cancellation)
    {
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var answer = await child.AskAsync(command);
            ThrowIfEnded(child, answer);
            if (EngineAnswer.RefusalOf(answer) is not { } refusal)
            {
                return answer!.Value;
            }

            LastRefusal = refusal.ToString();
            await Task.Delay(RetryInterval, context.Time, cancellation);
        }
    }
}
