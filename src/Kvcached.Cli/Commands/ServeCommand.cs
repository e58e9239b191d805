using System.ComponentModel;
using System.Runtime.InteropServices;
using Kvcached.Cli.Serving;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl serve</c>: hosts, engines and the router of a file of models, until told to stop.</summary>
internal sealed class ServeCommand : AsyncCommand<ServeCommand.Settings>
{
    internal sealed class Settings : CommandSettings
    {
        [CommandOption("-f|--file <FILE>")]
        [Description("YAML file of the models, with what to start for them.")]
        public string File { get; init; } = string.Empty;

        [CommandOption("--bin <DIR>")]
        [Description("Folder of Kvcached.Host and Kvcached.Router. Default that of kvctl.")]
        public string? BinDirectory { get; init; }

        [CommandOption("--work-dir <DIR>")]
        [Description("Folder for logs, sockets and the router's file. Default a folder 'serve' in the run directory of hosts.")]
        public string? WorkDirectory { get; init; }

        public override ValidationResult Validate() => File.Length > 0 ? base.Validate() : ValidationResult.Error("-f FILE is missing: name the file of models");
    }

    public override async Task<int> ExecuteAsync(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        var plan = ServePlan.Read(settings.File);
        var workDirectory = Path.GetFullPath(settings.WorkDirectory ?? Path.Combine(RunDirectory.DefaultPath(), "serve"));
        Directory.CreateDirectory(workDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var onTerminate = StopOn(PosixSignal.SIGTERM, stopping);
        using var onInterrupt = StopOn(PosixSignal.SIGINT, stopping);
        await using var launcher = new Launcher(
            plan, Path.GetFullPath(settings.BinDirectory ?? AppContext.BaseDirectory), workDirectory, Path.GetDirectoryName(Path.GetFullPath(settings.File))!,
            line => Console.Error.WriteLine(line), TimeProvider.System);
        try
        {
            var url = await launcher.StartAsync(stopping.Token);
            Console.Out.WriteLine($$"""{"event":"ready","url":"{{url}}"}""");
            await launcher.RouterEnded.WaitAsync(stopping.Token);
            throw new LaunchFailedException($"the router has ended; see the logs in {workDirectory}");
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return ExitCodes.Done;
        }
    }

    private static PosixSignalRegistration StopOn(PosixSignal signal, CancellationTokenSource stopping) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        stopping.Cancel();
    });
}
