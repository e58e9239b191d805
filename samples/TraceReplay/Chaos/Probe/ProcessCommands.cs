namespace Kvcached.EngineProbe;

/// <summary>What any of these processes can tell of itself.</summary>
internal static class ProcessCommands
{
    public static void AddTo(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands) =>
        commands["process"] = _ =>
        {
            // Files that have been created and dropped by now are not to be counted.
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return ProbeAnswer.Ok
                .With("pid", Environment.ProcessId)
                .With("descriptors", Directory.GetFiles("/proc/self/fd").Length)
                .With("memoryFiles", File.ReadLines("/proc/self/maps").Count(line => line.Contains("/memfd:kvcached", StringComparison.Ordinal)));
        };
}
