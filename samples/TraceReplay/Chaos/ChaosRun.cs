using System.Collections.Immutable;
using System.Globalization;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.TraceReplay.Chaos.Engines;
using Kvcached.TraceReplay.Chaos.Faults;
using Kvcached.TraceReplay.Chaos.Hosts;
using Kvcached.TraceReplay.Display;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;
using Kvcached.TraceReplay.Reporting;

namespace Kvcached.TraceReplay.Chaos;

/// <summary>
/// Conducts a run in chaos mode: hosts, schedulers and workers are processes of their own, and one after another is killed, stopped or cut off while the
/// traces are replayed. What must be where is known here, outside of everything that dies.
/// </summary>
internal sealed class ChaosRun(RunPlan plan, RunSettings settings, ReplayBinaries binaries, IProgressView view, TimeProvider time)
{
    private const int ResidentPages = 2;

    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan ResidentLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(60);

    private readonly FaultLog _log = new();
    private readonly EngineReport?[] _reports = new EngineReport?[plan.Engines.Length];
    private int _lostPools;
    private int _poolResets;

    public RunRecorder Recorder { get; } = new(plan);

    /// <summary>Runs all of it.</summary>
    /// <param name="directory">A private directory for logs and the hosts' files.</param>
    /// <param name="cancellation">Ends everything early.</param>
    /// <exception cref="RunFailedException">A process could not begin, or ended by itself.</exception>
    public async Task<RunSummary> RunAsync(string directory, CancellationToken cancellation)
    {
        await using var guard = ProcessGuard.Start();
        await using var hosts = new HostFleet(plan, settings.ManagementPort, binaries, guard, directory, time);
        await hosts.StartAsync(cancellation);
        view.Say(hosts.Ready[0].WhereToLook());
        var context = new TeamContext(binaries, guard, directory, time);
        var teams = plan.Engines.Select((engine, index) => CreateTeam(engine, index, hosts, context)).ToImmutableArray();
        try
        {
            await StartAsync(teams, cancellation);
            var engines = plan.Engines.Select((engine, index) => CreateEngine(engine, teams[index].Pool)).ToImmutableArray();
            await Task.WhenAll(engines.Select(engine => engine.WarmUpAsync(cancellation)));
            var possible = FaultInjector.Possible(settings.FaultKindsWanted!.Value, plan.HostCount, ConnectionCutter.IsPossibleFor(hosts.ProcessIdOf(0)));
            var begin = time.GetTimestamp();
            var residents = teams.Select(team => new ResidentBlocks(team.Pool, ResidentPages, time)).ToImmutableArray();
            var replays = engines.Select((engine, index) => engine.RunAsync(report => _reports[index] = report, cancellation)).ToImmutableArray();
            var faults = InjectAllAsync(possible, hosts, teams, residents, begin, directory, cancellation);
            await WatchAsync(begin, hosts, teams, [.. replays, faults], cancellation);
            var elapsed = time.GetElapsedTime(begin);
            for (var index = 0; index < replays.Length; index++)
            {
                _reports[index] = await replays[index];
            }

            var unproven = await EndAsync(teams, residents, cancellation);
            var ledger = await LedgerCheck.RunAsync(hosts.Managements, time, cancellation);
            var outcomes = plan.Engines.Select((engine, index) => new EngineOutcome(
                engine, _reports[index]!, engines[index].MapMilliseconds, engines[index].UnmapMilliseconds, _reports[index]!.Problem)).ToImmutableArray();
            var chaos = ChaosSummary.Create(settings.Seed, possible, _log, teams, _poolResets, _lostPools, ledger, unproven);
            return RunSummary.Create(plan, Recorder, outcomes, ledger, elapsed).WithChaos(chaos);
        }
        finally
        {
            foreach (var team in teams)
            {
                await team.DisposeAsync();
            }
        }
    }

    private EngineTeam CreateTeam(EnginePlan engine, int index, HostFleet hosts, TeamContext context)
    {
        var own = hosts.Ready.Take(engine.RankCount).ToArray();
        var spec = engine.Model.CreatePool(engine.Name, [.. own.Select(host => GpuId.Parse(host.Gpu))], plan.MemoryBytes * 2) with { Target = PoolTarget.Worker };

        // Schedulers are spread over the hosts, so that each host that dies takes some connections along.
        var address = new EngineAddress([.. own.Select(host => host.Gpu)], [.. own.Select(host => host.Socket)], hosts.Ready[index % hosts.Count].Socket);
        return new EngineTeam(engine, new ChaosPool(spec, time), address, context);
    }

    private ReplayEngine CreateEngine(EnginePlan engine, ChaosPool pool) => new(
        engine.Name, engine.Model.Name, pool, engine.Requests,
        new ReplayOptions
        {
            Speed = settings.Speed,
            DecodeStep = TimeSpan.FromMilliseconds(settings.DecodeStepMilliseconds),
            PrefillTokensPerSecond = settings.PrefillTokensPerSecond,
            Seed = settings.Seed,
            WholeShare = 1,
            Window = plan.Window,
            DrainLimit = TimeSpan.FromSeconds(settings.DrainSeconds),
        },
        time);

    private static async Task StartAsync(ImmutableArray<EngineTeam> teams, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(StartLimit);
        try
        {
            await Task.WhenAll(teams.Select(team => team.StartAsync(limit.Token)));
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new RunFailedException(
                $"the engines did not get their pools within {StartLimit.TotalSeconds:0} s: {string.Join("; ", teams.Select(team => $"{team.Name}: {team.LastRefusal}"))}");
        }
    }

    private async Task InjectAllAsync(
        ImmutableArray<FaultKind> possible, HostFleet hosts, ImmutableArray<EngineTeam> teams, ImmutableArray<ResidentBlocks> residents, long begin,
        string directory, CancellationToken cancellation)
    {
        var injector = new FaultInjector(hosts, teams, time);
        await using var lines = new StreamWriter(Path.Combine(directory, "faults.log")) { AutoFlush = true };
        foreach (var fault in FaultSchedule.Create(settings.Seed, plan.Window / settings.Speed, possible))
        {
            await EnsureResidentsAsync(residents, cancellation);
            if (fault.At - time.GetElapsedTime(begin) is var wait && wait > TimeSpan.Zero)
            {
                await Task.Delay(wait, time, cancellation);
            }

            var before = teams.Select(team => team.ResetCount).ToArray();
            var at = time.GetElapsedTime(begin);
            var outcome = await injector.InjectAsync(fault, cancellation);
            CountResets(outcome, teams, before);
            _log.Add(outcome);
            lines.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{at.TotalSeconds,7:0.0} s  {FaultKinds.NameOf(outcome.Kind),-18} {outcome.Target,-26} {outcome.RecoverySeconds?.ToString("0.00 s", CultureInfo.InvariantCulture) ?? "not recovered"}  resets {teams.Sum(team => team.ResetCount) - before.Sum()}  {outcome.Problem}"));
        }
    }

    private void CountResets(FaultOutcome outcome, ImmutableArray<EngineTeam> teams, int[] before)
    {
        for (var index = 0; index < teams.Length; index++)
        {
            var resets = teams[index].ResetCount - before[index];
            var isAnnounced = FaultKinds.MayResetPool(outcome.Kind) && outcome.Target.Contains($"and {teams[index].Name} rank", StringComparison.Ordinal);
            _poolResets += isAnnounced ? resets : 0;
            _lostPools += isAnnounced ? 0 : resets;
        }
    }

    private static async Task EnsureResidentsAsync(ImmutableArray<ResidentBlocks> residents, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(ResidentLimit);
        await Task.WhenAll(residents.Select(blocks => blocks.EnsureAsync(limit.Token)));
        cancellation.ThrowIfCancellationRequested();
    }

    private async Task WatchAsync(long begin, HostFleet hosts, ImmutableArray<EngineTeam> teams, ImmutableArray<Task> work, CancellationToken cancellation)
    {
        var all = Task.WhenAll(work);
        await view.ShowAsync(async update =>
        {
            while (!all.IsCompleted)
            {
                ThrowIfCrashed(hosts, teams);
                if (await hosts.GetPoolsAsync(cancellation) is { } ledger)
                {
                    Recorder.Sample(time.GetElapsedTime(begin), ledger.Pools, [.. _reports]);
                }

                update(new RunPicture(plan, settings.Speed, [.. hosts.Ready.Select(host => host.Gpu)], [.. _reports]));
                await ((Task)Task.WhenAny([all, .. work.Where(task => task.IsFaulted)])).WaitAsync(SampleInterval, time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                cancellation.ThrowIfCancellationRequested();
                if (work.FirstOrDefault(task => task.IsFaulted) is { } failed)
                {
                    await failed;
                }
            }
        });
        await all;
    }

    /// <summary>Proves every pool once more, gives everything back and ends the engines. Returns what could not be proven.</summary>
    private static async Task<ImmutableArray<string>> EndAsync(ImmutableArray<EngineTeam> teams, ImmutableArray<ResidentBlocks> residents, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(EndLimit);
        var problems = (await Task.WhenAll(teams.Select(team => team.RecoverAsync(limit.Token)))).OfType<string>().ToList();
        problems.AddRange(residents.Select(blocks => blocks.Release()).OfType<string>());
        cancellation.ThrowIfCancellationRequested();
        await Task.WhenAll(teams.Select(team => team.Pool.TrimAsync(0, 0, TimeSpan.Zero, cancellation)));
        await Task.WhenAll(teams.Select(team => team.CloseAsync()));
        return [.. problems];
    }

    private static void ThrowIfCrashed(HostFleet hosts, ImmutableArray<EngineTeam> teams)
    {
        if (hosts.FindCrashed() is { } host)
        {
            throw host.Ended();
        }

        if (teams.Select(team => team.FindCrashed()).FirstOrDefault(process => process is not null) is { } ended)
        {
            throw new RunFailedException($"{ended.Name} ended by itself with exit code {ended.ExitCode}; its last lines:{Environment.NewLine}{ended.Tail()}");
        }
    }
}
