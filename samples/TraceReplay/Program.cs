using System.Runtime.InteropServices;
using Kvcached.TraceReplay;
using Kvcached.TraceReplay.Chaos.Engines;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;
using Spectre.Console;
using Spectre.Console.Cli;

using var ending = new CancellationTokenSource();
void End(PosixSignalContext signal)
{
    signal.Cancel = true;
    ending.Cancel();
}

using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);

if (Console.IsOutputRedirected)
{
    // A file or a pipe has no width; 80 columns would break every line.
    AnsiConsole.Profile.Width = 160;
}

var app = new CommandApp();
app.Configure(config =>
{
    config.SetApplicationName("kvcached-replay");
    config.PropagateExceptions();
    config.UseStrictParsing();
    config.AddCommand<RunCommand>("run")
        .WithDescription("Starts hosts and three engines that share their memory, and replays two request traces")
        .WithExample("run", "--minutes", "2")
        .WithExample("run", "--hosts", "2", "--backend", "cuda", "--full", "--json", "summary.json");
    config.AddCommand<EngineCommand>("engine").WithDescription("One engine; started by run");
    config.AddCommand<EngineProcessCommand>(EngineProcessCommand.Name).WithDescription("A scheduler or worker of one; started by run --chaos");
});

try
{
    return await app.RunAsync(args, ending.Token);
}
catch (CommandAppException e)
{
    Console.Error.WriteLine($"kvcached-replay: {e.Message}");
    return ExitCodes.BadInput;
}
