using System.Diagnostics;

namespace Kvcached.Host.Tests.Support;

/// <summary>Runs <c>kvctl</c> as a process of its own.</summary>
internal static class Kvctl
{
    /// <param name="environment">Variables that differ from this process's.</param>
    /// <param name="arguments">Its arguments.</param>
    public static async Task<(int Code, string Output, string Errors)> RunAsync(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "kvctl.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync().WaitAsync(HostLauncher.Patience);
        return (process.ExitCode, await output, await errors);
    }
}
