using System.Collections.Immutable;
using Kvcached.Actors.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Models;
using Kvcached.TraceReplay.Traces;
using Spectre.Console.Cli;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// One engine as a process of its own: opens its pool, waits for <c>go</c>, replays its trace and reports in JSON lines. The end of
/// its standard input ends it: then whoever started it is gone.
/// </summary>
internal sealed class EngineCommand : AsyncCommand<EngineSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, EngineSettings settings, CancellationToken cancellationToken)
    {
        var trace = TraceReader.ReadFile(settings.Trace, TimeSpan.FromMinutes(settings.OffsetMinutes), TimeSpan.FromMinutes(settings.Minutes));
        if (trace.Problem is { } problem)
        {
            return Fail(problem.ToString(), ExitCodes.BadInput);
        }

        try
        {
            return await ReplayAsync(settings, trace.Requests, cancellationToken);
        }
        catch (EngineConnectException e)
        {
            return Fail(e.Message, ExitCodes.Failed);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return Fail($"engine '{settings.Name}' was ended before its trace began.", ExitCodes.Interrupted);
        }
    }

    private static async Task<int> ReplayAsync(EngineSettings settings, ImmutableArray<TraceRequest> requests, CancellationToken cancellation)
    {
        await using var client = await EngineClient.ConnectAsync(
            new EngineClientOptions { EngineName = settings.Name, Domain = settings.Domain, Hosts = [.. settings.HostAddresses] }, cancellation);
        _ = ByteSize.TryParse(settings.Virtual, out var virtualBytes);
        var whole = ReplayModels.Find(settings.Model)!;
        var model = settings.Layers > 0 ? whole.WithLayers(settings.Layers) : whole;
        var opened = await client.OpenPoolAsync(model.CreatePool(settings.Name, [.. settings.GpuIds.Select(GpuId.Parse)], virtualBytes), cancellation);
        if (!opened.IsGranted)
        {
            return Fail($"engine '{settings.Name}' got no pool: {opened.Refusal}", ExitCodes.Failed);
        }

        await using var pool = opened.Value!;
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var hasBegun = WatchInput(ending);
        var options = new ReplayOptions
        {
            Speed = settings.Speed,
            DecodeStep = TimeSpan.FromMilliseconds(settings.DecodeStepMilliseconds),
            PrefillTokensPerSecond = settings.PrefillTokensPerSecond,
            Seed = settings.Seed,
            Window = TimeSpan.FromMinutes(settings.Minutes),
            DrainLimit = TimeSpan.FromSeconds(settings.DrainSeconds),
        };
        var engine = new ReplayEngine(settings.Name, model.Name, pool, requests, options, TimeProvider.System);
        await engine.WarmUpAsync(ending.Token);
        Write(new EngineMessage(EngineMessage.Ready));
        await hasBegun.WaitAsync(ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        var report = await engine.RunAsync(r => Write(new EngineMessage(EngineMessage.Stats, r)), ending.Token);
        Write(new EngineMessage(EngineMessage.Summary, report, engine.MapMilliseconds, engine.UnmapMilliseconds));
        return ending.IsCancellationRequested ? ExitCodes.Interrupted
            : report.Problem is null && report.CorruptBlocks == 0 && report.Unfinished() == 0 ? ExitCodes.Success
            : ExitCodes.Failed;
    }

    /// <summary>A task that ends with the line <c>go</c>; the end of input cancels <paramref name="ending"/>.</summary>
    private static Task WatchInput(CancellationTokenSource ending)
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reader = new Thread(() =>
        {
            while (Console.In.ReadLine() is { } line)
            {
                if (line == EngineMessage.Go)
                {
                    begun.TrySetResult();
                }
            }

            try
            {
                ending.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The run was over first.
            }
        })
        { IsBackground = true, Name = "input" };
        reader.Start();
        return begun.Task;
    }

    private static int Fail(string text, int exitCode)
    {
        Write(new EngineMessage(EngineMessage.Failed, Text: text));
        Console.Error.WriteLine(text);
        return exitCode;
    }

    private static void Write(EngineMessage message)
    {
        Console.Out.WriteLine(message.ToLine());
        Console.Out.Flush();
    }
}
