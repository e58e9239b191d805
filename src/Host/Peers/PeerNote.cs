using System.Globalization;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Host.Peers;

/// <summary>Which process has an address in the cluster.</summary>
/// <param name="Uid">Which of the actor systems that ever had the address.</param>
/// <param name="Process">The process, beyond doubt on this machine.</param>
/// <param name="ProcessNamespace">Where its number counts, as the kernel names it.</param>
internal sealed record PeerNote(int Uid, ProcessIdentity Process, string ProcessNamespace)
{
    private const int WordCount = 5;

    /// <summary>That this process has it.</summary>
    public static PeerNote OfThisProcess(int uid) => new(uid, ProcessIdentity.Of(Environment.ProcessId), OwnNamespace());

    /// <summary>Null when it isn't one: cut off while it was written, or by somebody else.</summary>
    public static PeerNote? Parse(string text)
    {
        var words = text.Split(' ');
        return words.Length == WordCount && int.TryParse(words[0], CultureInfo.InvariantCulture, out var uid)
            && int.TryParse(words[1], CultureInfo.InvariantCulture, out var process) && long.TryParse(words[2], CultureInfo.InvariantCulture, out var start)
            && words[3].Length > 0 && words[4].Length > 0
            ? new PeerNote(uid, new ProcessIdentity(process, start, words[3]), words[4])
            : null;
    }

    /// <summary>True when this process can see that one, so that what it sees under its number, or not, means something.</summary>
    public bool IsVisible => ProcessNamespace == OwnNamespace();

    /// <summary>True while that very process lives; only where it is visible.</summary>
    public bool IsAlive => ProcessIdentity.Of(Process.ProcessId) == Process;

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Uid} {Process.ProcessId} {Process.StartTicks} {Process.BootId} {ProcessNamespace}");

    private static string OwnNamespace()
    {
        try
        {
            return new FileInfo("/proc/self/ns/pid").LinkTarget ?? "none";
        }
        catch (IOException)
        {
            return "none";
        }
    }
}
