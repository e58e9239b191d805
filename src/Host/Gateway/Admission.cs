using System.Runtime.InteropServices;
using Kvcached.Core.Decisions;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Host.Gateway;

/// <summary>Who may connect, by what the kernel says of them, and how often. For one thread.</summary>
/// <param name="options">Limits and users.</param>
/// <param name="ownUser">The host's user.</param>
/// <param name="group">Group whose users may connect; null = none.</param>
internal sealed class Admission(GatewayOptions options, uint ownUser, uint? group)
{
    private readonly Dictionary<uint, int> _counts = [];

    /// <summary>Connections that were admitted and not released.</summary>
    public int Count { get; private set; }

    /// <summary>Admits a connection, or says why not. What was admitted is to be released.</summary>
    public Refusal? Admit(PeerCredentials peer, SafeHandle socket)
    {
        if (!IsAllowed(peer, socket))
        {
            return new Refusal(
                RefusalReason.NotAllowed, $"User {peer.UserId} may not use this host. Have it started with --allow-uid {peer.UserId}, or with --socket-group.");
        }

        var ofUser = _counts.GetValueOrDefault(peer.UserId);
        if (Count >= options.MaxConnections || ofUser >= options.MaxConnectionsPerUser)
        {
            return new Refusal(
                RefusalReason.Busy,
                $"{Count} connections are open, {ofUser} of them of user {peer.UserId}; allowed are {options.MaxConnections} and {options.MaxConnectionsPerUser}. "
                + "Close some, or raise --max-connections and --max-connections-per-user.");
        }

        _counts[peer.UserId] = ofUser + 1;
        Count++;
        return null;
    }

    public void Release(uint user)
    {
        Count--;
        if (_counts[user] == 1)
        {
            _counts.Remove(user);
        }
        else
        {
            _counts[user]--;
        }
    }

    private bool IsAllowed(PeerCredentials peer, SafeHandle socket) =>
        peer.UserId == 0 || peer.UserId == ownUser || options.AllowedUsers.Contains(peer.UserId)
        || (group is { } id && peer.IsInGroup(socket, id));
}
