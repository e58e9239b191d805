using Kvcached.TraceReplay.Chaos;
using Kvcached.TraceReplay.Display;
using Kvcached.TraceReplay.Reporting;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>The whole demonstration: plan, run, table, chart, summary.</summary>
internal sealed class RunCommand : AsyncCommand<RunSettings>
{
    public override async Task<int> ExecuteAsync(CommandContext context, RunSettings settings, CancellationToken cancellationToken)
    {
        var planned = RunPlan.Create(settings, MachineFacts.Read(), AppContext.BaseDirectory);
        if (planned.Plan is not { } plan)
        {
            return Fail(planned.Problem!, ExitCodes.BadInput);
        }

        if (ReplayBinaries.Find(settings.Bin, AppContext.BaseDirectory, out var missing) is not { } binaries)
        {
            return Fail(missing!, ExitCodes.BadInput);
        }

        if (OutputFiles.FindProblem(settings.Chart, settings.Json) is { } unwritable)
        {
            return Fail(unwritable, ExitCodes.BadInput);
        }

        // Made with mode 0700: the hosts keep tokens and sockets in it.
        var directory = Directory.CreateTempSubdirectory("kvcached-replay-").FullName;
        var isKept = true;
        try
        {
            PlanText.Write(AnsiConsole.Console, plan, settings, directory);
            var isLive = !settings.IsPlain && !Console.IsOutputRedirected;
            IProgressView view = isLive ? new LiveView(AnsiConsole.Console) : new PlainView(Console.Out, TimeProvider.System);
            var (summary, recorder) = await RunAsync(plan, settings, binaries, view, directory, cancellationToken);
            SummaryText.Write(AnsiConsole.Console, summary);
            ChartWriter.Write(settings.Chart, recorder, summary);
            AnsiConsole.Console.WriteLine($"Chart: {Path.GetFullPath(settings.Chart)}");
            if (settings.Json is { } json)
            {
                await File.WriteAllTextAsync(json, summary.ToJson() + Environment.NewLine, CancellationToken.None);
                AnsiConsole.Console.WriteLine($"Summary: {Path.GetFullPath(json)}");
            }

            isKept = !summary.IsGood;
            return summary.IsGood ? ExitCodes.Success : ExitCodes.Failed;
        }
        catch (RunFailedException e)
        {
            return Fail(e.Message, ExitCodes.Failed);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            isKept = false;
            return Fail("ended by a signal; all hosts and engines are stopped.", ExitCodes.Interrupted);
        }
        finally
        {
            if (isKept)
            {
                Console.Error.WriteLine($"kvcached-replay: logs are in {directory}");
            }
            else
            {
                Directory.Delete(directory, recursive: true);
            }
        }
    }

    private static async Task<(RunSummary Summary, RunRecorder Recorder)> RunAsync(
        RunPlan plan, RunSettings settings, ReplayBinaries binaries, IProgressView view, string directory, CancellationToken cancellation)
    {
        if (settings.IsChaos)
        {
            var chaos = new ChaosRun(plan, settings, binaries, view, TimeProvider.System);
            return (await chaos.RunAsync(directory, cancellation), chaos.Recorder);
        }

        var run = new ReplayRun(plan, settings, binaries, view, TimeProvider.System);
        return (await run.RunAsync(directory, cancellation), run.Recorder);
    }

    private static int Fail(string text, int exitCode)
    {
        Console.Error.WriteLine($"kvcached-replay: {text}");
        return exitCode;
    }
}
