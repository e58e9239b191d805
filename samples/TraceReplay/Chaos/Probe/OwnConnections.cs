using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Kvcached.EngineProbe;

/// <summary>Cuts this process's own connections to a Unix socket from below, as the loss of the other end would: the library isn't asked.</summary>
internal static partial class OwnConnections
{
    private const int ReadAndWrite = 2;
    private const int FamilyBytes = 2;
    private const int AddressBytes = 128;

    public static void AddTo(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands) =>
        commands["cut"] = command => ProbeAnswer.Ok.With("connections", Cut(command.Text("socket")));

    /// <summary>Shuts down every connection to that path; returns how many there were.</summary>
    public static int Cut(string path)
    {
        var count = 0;
        foreach (var entry in Directory.GetFiles("/proc/self/fd"))
        {
            var descriptor = int.Parse(Path.GetFileName(entry), CultureInfo.InvariantCulture);
            if (PeerOf(descriptor) == path && shutdown(descriptor, ReadAndWrite) == 0)
            {
                count++;
            }
        }

        return count;
    }

    private static string? PeerOf(int descriptor)
    {
        Span<byte> address = stackalloc byte[AddressBytes];
        var length = address.Length;
        if (getpeername(descriptor, ref MemoryMarshal.GetReference(address), ref length) != 0
            || length <= FamilyBytes || MemoryMarshal.Read<ushort>(address) != (ushort)AddressFamily.Unix)
        {
            return null;
        }

        var name = address[FamilyBytes..length];
        var end = name.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? name : name[..end]);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getpeername(int descriptor, ref byte address, ref int addressBytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int descriptor, int how);
}
