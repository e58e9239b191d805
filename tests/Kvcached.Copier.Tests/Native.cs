using System.Runtime.InteropServices;

namespace Kvcached.Copier.Tests;

internal static partial class Native
{
    public const int SigKill = 9;
    public const int SigStop = 19;
    public const int SigContinue = 18;
    private const int SetDescriptorFlags = 2;

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int processId, int signal);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int FileControl(int descriptor, int command, int argument);

    public static void Signal(int processId, int signal) => Assert.Equal(0, SendSignal(processId, signal));

    /// <summary>Lets child processes inherit a descriptor.</summary>
    public static void Inherit(int descriptor) => Assert.Equal(0, FileControl(descriptor, SetDescriptorFlags, 0));
}
