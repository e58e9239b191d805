using System.Globalization;

namespace Kvcached.Gpu.Sockets;

/// <summary>
/// A process beyond its number, which another one may get: with the time of its start, and the start of the machine by which that time is counted.
/// </summary>
/// <param name="ProcessId">Its number; 0 = it can't be seen from here.</param>
/// <param name="StartTicks">Clock ticks from the start of the machine to that of the process (<c>/proc/PID/stat</c>, field 22).</param>
/// <param name="BootId">The start of the machine (<c>/proc/sys/kernel/random/boot_id</c>).</param>
public readonly record struct ProcessIdentity(int ProcessId, long StartTicks, string BootId)
{
    private const int StartField = 22;

    /// <summary>The process that has this number now. Its other fields are empty when it can't be seen, or has ended.</summary>
    public static ProcessIdentity Of(int processId)
    {
        try
        {
            // The name, in brackets, may hold anything; the fields after it are plain. The first of these is the third.
            var stat = processId > 0 ? File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/stat")) : string.Empty;
            var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return fields.Length > StartField - 3 && long.TryParse(fields[StartField - 3], NumberStyles.None, CultureInfo.InvariantCulture, out var ticks)
                ? new ProcessIdentity(processId, ticks, File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim())
                : new ProcessIdentity(processId, 0, string.Empty);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new ProcessIdentity(processId, 0, string.Empty);
        }
    }
}
