using System.Runtime.InteropServices;

namespace Kvcached.Gpu.Sockets;

/// <summary>Who connected, as the kernel says; what the other side says of itself plays no part.</summary>
/// <param name="ProcessId">The process as seen from here; 0 when it is in a process namespace that isn't visible.</param>
/// <param name="UserId">Its effective user.</param>
/// <param name="GroupId">Its effective group.</param>
public readonly record struct PeerCredentials(int ProcessId, uint UserId, uint GroupId)
{
    private const int MostGroups = 65536;

    /// <summary>The effective user of this process.</summary>
    public static uint OwnUserId => SocketNative.EffectiveUserId();

    /// <summary>Asks the kernel who was on the other side when the connection was made. False when the socket isn't connected.</summary>
    public static unsafe bool TryRead(SafeHandle socket, out PeerCredentials peer)
    {
        var credentials = default(SocketNative.Credentials);
        var bytes = (uint)sizeof(SocketNative.Credentials);
        var isThere = SocketNative.GetOption(socket, SocketNative.SocketLevel, SocketNative.OptionPeerCredentials, &credentials, &bytes) == 0;
        peer = new PeerCredentials(Math.Max(0, credentials.ProcessId), credentials.UserId, credentials.GroupId);
        return isThere;
    }

    /// <summary>True when the process that connected is in that group, as its own or as a supplementary one.</summary>
    public unsafe bool IsInGroup(SafeHandle socket, uint group)
    {
        if (GroupId == group)
        {
            return true;
        }

        var groups = new uint[32];
        while (true)
        {
            var bytes = (uint)(groups.Length * sizeof(uint));
            fixed (uint* start = groups)
            {
                if (SocketNative.GetOption(socket, SocketNative.SocketLevel, SocketNative.OptionPeerGroups, start, &bytes) == 0)
                {
                    return groups.AsSpan(0, (int)(bytes / sizeof(uint))).Contains(group);
                }
            }

            // The kernel says how much room it needs.
            if (Marshal.GetLastPInvokeError() != SocketNative.RangeError || bytes / sizeof(uint) is var needed && (needed <= groups.Length || needed > MostGroups))
            {
                return false;
            }

            groups = new uint[needed];
        }
    }
}
