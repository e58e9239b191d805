using System.Globalization;
using System.Runtime.InteropServices;

namespace Kvcached.TraceReplay.Chaos.Hosts;

/// <summary>
/// Cuts TCP connections of another process from outside, as a failing network would: takes a copy of its socket (<c>pidfd_getfd</c>) and shuts it down.
/// Needs the right to trace that process, which containers may withhold.
/// </summary>
internal static partial class ConnectionCutter
{
    private const int PidfdOpen = 434;
    private const int PidfdGetfd = 438;
    private const int ReadAndWrite = 2;
    private const string Established = "01";

    /// <summary>True when a process like this one may take a copy of another's descriptor.</summary>
    public static bool IsPossibleFor(int processId) => WithDescriptor(processId, 0, _ => { });

    /// <summary>Shuts down every established TCP connection of that process with one of the ports at either end. Returns how many.</summary>
    public static int CutTcp(int processId, IReadOnlyCollection<int> ports)
    {
        var inodes = InodesOf(processId, ports);
        var count = 0;
        foreach (var entry in Directory.GetFiles($"/proc/{processId}/fd"))
        {
            if (new FileInfo(entry).LinkTarget is { } target && target.StartsWith("socket:[", StringComparison.Ordinal) && inodes.Contains(target[8..^1])
                && WithDescriptor(processId, int.Parse(Path.GetFileName(entry), CultureInfo.InvariantCulture), copy => shutdown(copy, ReadAndWrite)))
            {
                count++;
            }
        }

        return count;
    }

    private static HashSet<string> InodesOf(int processId, IReadOnlyCollection<int> ports)
    {
        var inodes = new HashSet<string>(StringComparer.Ordinal);
        foreach (var table in (string[])["tcp", "tcp6"])
        {
            var path = $"/proc/{processId}/net/{table}";
            foreach (var line in File.Exists(path) ? File.ReadLines(path).Skip(1) : [])
            {
                var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (words[3] == Established && (ports.Contains(PortOf(words[1])) || ports.Contains(PortOf(words[2]))))
                {
                    inodes.Add(words[9]);
                }
            }
        }

        return inodes;
    }

    private static int PortOf(string address) => int.Parse(address.AsSpan(address.IndexOf(':') + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static bool WithDescriptor(int processId, int descriptor, Action<int> use)
    {
        var process = (int)syscall(PidfdOpen, processId, 0, 0);
        if (process < 0)
        {
            return false;
        }

        var copy = (int)syscall(PidfdGetfd, process, descriptor, 0);
        if (copy >= 0)
        {
            use(copy);
            _ = close(copy);
        }

        _ = close(process);
        return copy >= 0;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nint first, nint second, nint third);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int descriptor, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int descriptor);
}
