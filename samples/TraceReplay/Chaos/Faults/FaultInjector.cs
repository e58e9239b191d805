using System.Collections.Immutable;
using Kvcached.TraceReplay.Chaos.Engines;
using Kvcached.TraceReplay.Chaos.Hosts;
using Kvcached.TraceReplay.Orchestration;

namespace Kvcached.TraceReplay.Chaos.Faults;

/// <summary>Does to the processes of a run what the schedule says, brings back what a supervisor would, and waits until the pools concerned work again.</summary>
internal sealed class FaultInjector(HostFleet hosts, ImmutableArray<EngineTeam> teams, TimeProvider time)
{
    /// <summary>A pool that is not back by then counts as not recovered.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    /// <summary>Which of the parts of a fault has hit whom.</summary>
    private sealed record Hit(string Target, ImmutableArray<EngineTeam> Concerned);

    /// <summary>The kinds that can be injected here.</summary>
    /// <param name="wanted">Those that are wanted.</param>
    /// <param name="hostCount">Hosts of the run.</param>
    /// <param name="canCutTcp">Whether connections of other processes can be cut.</param>
    public static ImmutableArray<FaultKind> Possible(IEnumerable<FaultKind> wanted, int hostCount, bool canCutTcp) =>
        [.. wanted.Distinct().Where(kind => kind switch
        {
            FaultKind.AssociationCut => canCutTcp && hostCount > 1,
            FaultKind.HostKill => hostCount > 1,
            _ => true,
        })];

    /// <summary>Injects one fault; returns when all pools concerned are back, or the time for it is over.</summary>
    public async Task<FaultOutcome> InjectAsync(PlannedFault fault, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Limit);
        var begin = time.GetTimestamp();
        var hit = new Hit(FaultKinds.NameOf(fault.Kind), teams);
        string?[] problems;
        try
        {
            hit = await HitAsync(fault, limit.Token);
            problems = await Task.WhenAll(hit.Concerned.Select(team => team.RecoverAsync(limit.Token)));
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            problems = [$"{FaultKinds.NameOf(fault.Kind)}: what it hit was not there again within {Limit.TotalSeconds:0} s; {string.Join("; ", teams.Select(team => team.LastRefusal).OfType<string>())}"];
        }

        var problem = Array.Find(problems, text => text is not null);
        cancellation.ThrowIfCancellationRequested();
        return new FaultOutcome(fault.Kind, hit.Target, problem is null ? time.GetElapsedTime(begin).TotalSeconds : null, problem);
    }

    private async Task<Hit> HitAsync(PlannedFault fault, CancellationToken limit)
    {
        var team = teams[fault.TargetDraw % teams.Length];
        var rank = fault.TargetDraw / teams.Length % team.RankCount;
        var host = fault.TargetDraw % hosts.Count;
        switch (fault.Kind)
        {
            case FaultKind.MapperCrash:
                hosts.Signal(host, Signals.CrashMapper);
                return OnHost(host);
            case FaultKind.WorkerKill:
                await team.KillWorkerAsync(rank);
                await team.RestartWorkerAsync(rank, limit);
                return new Hit($"{team.Name} rank {rank}", [team]);
            case FaultKind.WorkerPause:
                await PauseAsync(team.Worker(rank).Signal, fault.Length, limit);
                return new Hit($"{team.Name} rank {rank}", [team]);
            case FaultKind.SchedulerKill:
                await team.KillSchedulerAsync();
                await team.ReplaceSchedulerAsync(limit);
                return new Hit(team.Name, [team]);
            case FaultKind.SchedulerPause:
                await team.OutliveLeaseAsync(limit);
                return new Hit(team.Name, [team]);
            case FaultKind.HostPause:
                await PauseAsync(signal => hosts.Signal(host, signal), fault.Length, limit);
                return OnHost(host);
            case FaultKind.HostKill:
                var other = (await hosts.FindCoordinatorAsync(limit) + 1 + (fault.TargetDraw % (hosts.Count - 1))) % hosts.Count;
                await KillHostAsync(other, limit);
                return OnHost(other);
            case FaultKind.CoordinatorKill:
                var coordinator = await hosts.FindCoordinatorAsync(limit);
                await KillHostAsync(coordinator, limit);
                return new Hit($"host {coordinator}", teams);
            case FaultKind.ConnectionCut:
                return await CutAsync(team, fault.TargetDraw / teams.Length % (team.RankCount + 1));
            case FaultKind.AssociationCut:
                ConnectionCutter.CutTcp(hosts.ProcessIdOf(host), [.. hosts.Ready.Select(ready => ready.Port)]);
                return new Hit($"host {host}", teams);
            case FaultKind.HostAndWorkerKill:
                return await KillHostAndWorkerAsync(team, rank, limit);
            default:
                throw new InvalidOperationException($"There is no fault of kind {fault.Kind}.");
        }
    }

    private Hit OnHost(int host) => new($"host {host}", [.. teams.Where(team => Array.IndexOf(team.Address.Gpus, hosts.Ready[host].Gpu) >= 0)]);

    private async Task PauseAsync(Action<int> signal, TimeSpan length, CancellationToken limit)
    {
        signal(Signals.Stop);
        try
        {
            await Task.Delay(length, time, limit);
        }
        finally
        {
            signal(Signals.Continue);
        }
    }

    private async Task KillHostAsync(int host, CancellationToken limit)
    {
        await hosts.KillAsync(host);
        await hosts.RestartAsync(host, limit);
    }

    private static async Task<Hit> CutAsync(EngineTeam team, int which)
    {
        var (child, socket, name) = which < team.RankCount
            ? (team.Worker(which), team.Address.Sockets[which], $"{team.Name} rank {which}")
            : (team.Scheduler, team.Address.SchedulerSocket, $"{team.Name} scheduler");
        await child.AskAsync($"cut socket={socket}");
        return new Hit(name, [team]);
    }

    private async Task<Hit> KillHostAndWorkerAsync(EngineTeam team, int rank, CancellationToken limit)
    {
        var host = hosts.Ready.Select(ready => ready.Gpu).ToList().IndexOf(team.Address.Gpus[rank]);
        await Task.WhenAll(hosts.KillAsync(host), team.KillWorkerAsync(rank));
        await hosts.RestartAsync(host, limit);
        await team.RestartWorkerAsync(rank, limit);
        return OnHost(host) with { Target = $"host {host} and {team.Name} rank {rank}" };
    }
}
