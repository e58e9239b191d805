using System.Diagnostics;
using Kvcached.Actors.Engines;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>
/// One run on fresh processes: hosts, an engine and a pool over all hosts; then rounds in which coordinated maps, their unmaps and bare
/// broadcasts take turns, so that whatever else the machine does hits all of them.
/// </summary>
internal sealed class MapRun : IAsyncDisposable
{
    private const int StepsPerRound = 10;
    private const int WarmUpSteps = 1_500;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private readonly List<RankHostProcess> _hosts = [];
    private readonly DirectoryInfo _runDirectory = Directory.CreateTempSubdirectory("kvcached-bench-");
    private IEngineClient? _engine;
    private IEnginePool? _pool;
    private BareRequester? _bare;

    private MapRun()
    {
    }

    public static async Task<MapRun> StartAsync(MapRunOptions options)
    {
        var run = new MapRun();
        try
        {
            for (var index = 0; index < options.HostCount; index++)
            {
                run._hosts.Add(await RankHostProcess.StartAsync(
                    index, index == 0 ? string.Empty : run._hosts[0].Address, run._runDirectory.FullName, options));
            }

            run._engine = await EngineClient.ConnectAsync(
                new EngineClientOptions { EngineName = "bench", Domain = "bench", Hosts = [run._hosts[0].Address] }, CancellationToken.None);
            run._pool = await OpenPoolAsync(run._engine, options.HostCount);
            await run._hosts[0].PrepareBareAsync(run._hosts.Select(h => h.Address));
            run._bare = await BareRequester.ConnectAsync(run._hosts[0].Address);
            return run;
        }
        catch
        {
            await run.DisposeAsync();
            throw;
        }
    }

    /// <summary>Measures growth by that many pages, that many times.</summary>
    public async Task<MapRunResult> MeasureAsync(int pageCount, int steps)
    {
        await StepAsync(pageCount, Math.Min(WarmUpSteps, steps), new Samples(), new Samples(), new Samples());
        var before = await ReadReportsAsync();
        var (maps, unmaps, bare) = (new Samples(), new Samples(), new Samples());
        var load = ResultFile.LoadAverage();
        var start = Stopwatch.GetTimestamp();
        await StepAsync(pageCount, steps, maps, unmaps, bare);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var reports = await ReadReportsAsync();
        var processors = reports.Zip(before, (after, earlier) => (after.ProcessorSeconds - earlier.ProcessorSeconds) / seconds).Average();

        // Whatever is asked for at once is one decision and one message to each rank; so is its return.
        for (var host = 0; host < reports.Count; host++)
        {
            var decisions = reports[host].DecisionCount - before[host].DecisionCount;
            if (decisions != 2L * steps)
            {
                throw new InvalidOperationException($"{steps} maps of {pageCount} pages and their unmaps sent {decisions} decisions to rank {host}, not {2 * steps}.");
            }
        }

        return MapRunResult.Of(pageCount, load, processors, reports, maps, unmaps, bare);
    }

    public async ValueTask DisposeAsync()
    {
        if (_bare is not null)
        {
            await _bare.DisposeAsync();
        }

        if (_pool is not null)
        {
            await _pool.DisposeAsync();
        }

        if (_engine is not null)
        {
            await _engine.DisposeAsync();
        }

        // The coordinator's host last, so that it needn't move.
        for (var host = _hosts.Count - 1; host >= 0; host--)
        {
            await _hosts[host].DisposeAsync();
        }

        _runDirectory.Delete(recursive: true);
    }

    private async Task StepAsync(int pageCount, int steps, Samples maps, Samples unmaps, Samples bare)
    {
        for (var done = 0; done < steps; done += StepsPerRound)
        {
            var count = Math.Min(StepsPerRound, steps - done);
            for (var i = 0; i < count; i++)
            {
                var start = Stopwatch.GetTimestamp();
                var grown = await _pool!.GrowAsync(0, pageCount, Deadline, CancellationToken.None);
                maps.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                Require(grown.Refusal);
                start = Stopwatch.GetTimestamp();
                var trimmed = await _pool.TrimAsync(0, 0, TimeSpan.Zero, CancellationToken.None);
                unmaps.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                Require(trimmed.Refusal);
            }

            for (var i = 0; i < count; i++)
            {
                var start = Stopwatch.GetTimestamp();
                await _bare!.RequestAsync(pageCount, 0);
                bare.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            }

            await _bare!.RequestAsync(pageCount, count);
        }
    }

    private async Task<List<HostReport>> ReadReportsAsync()
    {
        var reports = new List<HostReport>();
        foreach (var host in _hosts)
        {
            reports.Add(await host.ReadReportAsync());
        }

        return reports;
    }

    private static async Task<IEnginePool> OpenPoolAsync(IEngineClient engine, int hostCount)
    {
        var gpus = Enumerable.Range(0, hostCount).Select(i => GpuId.Parse($"HOST-{i}"));
        var virtualPages = (int)(RankHostCommand.CapacityBytes / Geometries.BytesPerPageId);
        var spec = new PoolSpec("bench", Geometries.Of(gpus, virtualPages), PoolTarget.Host, 0, 0, 1);
        for (var tries = 0; ; tries++)
        {
            var opened = await engine.OpenPoolAsync(spec, CancellationToken.None);
            if (opened.Value is { } pool)
            {
                return pool;
            }

            // Ranks make themselves known a moment after their hosts have joined.
            if (opened.Refusal!.Reason is not (RefusalReason.UnknownGpu or RefusalReason.RankUnavailable or RefusalReason.Recovering) || tries == 100)
            {
                throw new InvalidOperationException($"The pool couldn't be opened: {opened.Refusal}");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }
    }

    private static void Require(Refusal? refusal)
    {
        if (refusal is not null)
        {
            throw new InvalidOperationException($"A step of the benchmark was refused: {refusal}");
        }
    }
}
