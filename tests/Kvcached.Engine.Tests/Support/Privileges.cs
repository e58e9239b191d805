using System.Diagnostics;

namespace Kvcached.Engine.Tests.Support;

/// <summary>What a test needs a privileged process for: other users, other process namespaces.</summary>
internal static class Privileges
{
    /// <summary>A user and a group that no file belongs to.</summary>
    public const int OtherUser = 65534;

    /// <summary>Starts a program as <see cref="OtherUser"/>, in no other group than this.</summary>
    public static string[] AsOtherUser(int group = OtherUser) => ["setpriv", $"--reuid={OtherUser}", $"--regid={group}", "--clear-groups"];

    /// <summary>Starts a program in a process namespace of its own, where it is the first process; it ends with the starter.</summary>
    public static string[] InOwnProcessNamespace { get; } = ["unshare", "--pid", "--fork", "--kill-child"];

    /// <summary>Null, or why this machine can't start the probe so.</summary>
    public static async Task<string?> FindObstacleAsync(string[] through)
    {
        string[] words = [.. through, "head", "-c", "1", Probe.ProgramPath];
        try
        {
            using var process = Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            return process.ExitCode == 0 ? null : $"Can't run '{string.Join(' ', words)}': {(await errors).Trim()}";
        }
        catch (System.ComponentModel.Win32Exception problem)
        {
            return problem.Message;
        }
    }
}
