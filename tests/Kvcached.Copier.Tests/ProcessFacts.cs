namespace Kvcached.Copier.Tests;

/// <summary>What the kernel says about a process.</summary>
internal static class ProcessFacts
{
    public static int CountDescriptors(int processId) => Directory.GetFileSystemEntries($"/proc/{processId}/fd").Length;

    /// <summary>
    /// Returns once this process has no more descriptors than that; the test fails when it never does. The pipes of a process that has ended are closed by the runtime,
    /// behind whoever waited for its end.
    /// </summary>
    public static async Task DescriptorsFallToAsync(int count)
    {
        var waited = System.Diagnostics.Stopwatch.StartNew();
        for (var open = CountDescriptors(Environment.ProcessId); open > count; open = CountDescriptors(Environment.ProcessId))
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), $"{open} descriptors are open, {count} were before.");
            await Task.Delay(20);
        }
    }

    /// <summary>Mappings of memory that hosts lend.</summary>
    public static int CountLentMappings(int processId) =>
        File.ReadLines($"/proc/{processId}/maps").Count(line => line.Contains("memfd:kvcached", StringComparison.Ordinal));

    public static bool IsAlive(int processId) =>
        File.Exists($"/proc/{processId}/stat") && !File.ReadAllText($"/proc/{processId}/stat").Contains(") Z ", StringComparison.Ordinal);
}
