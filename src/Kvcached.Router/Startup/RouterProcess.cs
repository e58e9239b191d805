using Kvcached.Router.Configuration;

namespace Kvcached.Router.Startup;

/// <summary>The router's process from its arguments to its exit code.</summary>
internal static class RouterProcess
{
    private const int Stopped = 0;
    private const int Failed = 1;
    private const int WrongUsage = 2;

    /// <summary>Serves until told to stop by SIGTERM, SIGINT or the token.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken stopping)
    {
        var errors = new List<string>();
        if (RouterCommandLine.Read(arguments, errors) is not { } options)
        {
            return Complain(errors, WrongUsage);
        }

        var read = ModelsFileReader.ReadFile(options.ModelsPath);
        if (!read.Errors.IsEmpty)
        {
            return Complain(read.Errors, WrongUsage);
        }

        if (ChangeToken.Read(options.TokenPath, out var unread) is not { } token)
        {
            return Complain([unread!], WrongUsage);
        }

        await using var app = RouterServer.Create(options, read.Models, token);
        try
        {
            await app.StartAsync(stopping);
        }
        catch (IOException exception)
        {
            return Complain([$"can't listen on {options.Listen}: {exception.GetBaseException().Message.TrimEnd('.')}. Choose another with --listen."], Failed);
        }

        Console.Out.WriteLine(RouterServer.ReadyLine(app));
        await app.WaitForShutdownAsync(stopping);
        return Stopped;
    }

    private static int Complain(IEnumerable<string> errors, int exitCode)
    {
        foreach (var error in errors)
        {
            Console.Error.WriteLine($"Kvcached.Router: {error.ReplaceLineEndings(" ")}");
        }

        return exitCode;
    }
}
