namespace Kvcached.Copier.Tests;

/// <summary>What the kernel says about a process.</summary>
internal static class ProcessFacts
{
    public static int CountDescriptors(int processId) => Directory.GetFileSystemEntries($"/proc/{processId}/fd").Length;

    /// <summary>Mappings of memory that hosts lend.</summary>
    public static int CountLentMappings(int processId) =>
        File.ReadLines($"/proc/{processId}/maps").Count(line => line.Contains("memfd:kvcached", StringComparison.Ordinal));

    public static bool IsAlive(int processId) =>
        File.Exists($"/proc/{processId}/stat") && !File.ReadAllText($"/proc/{processId}/stat").Contains(") Z ", StringComparison.Ordinal);
}
