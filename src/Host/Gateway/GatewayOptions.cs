using Kvcached.Core.Sockets;

namespace Kvcached.Host.Gateway;

/// <summary>How a host serves engine processes over its Unix socket: where, whom, and how much of each.</summary>
internal sealed record GatewayOptions
{
    /// <summary>Path of the socket; null = in the run directory, by the device's name.</summary>
    public string? SocketPath { get; init; }

    /// <summary>Name of a group whose users may connect; null = none.</summary>
    public string? GroupName { get; init; }

    /// <summary>Users who may connect besides the superuser and the host's own.</summary>
    public IReadOnlyList<uint> AllowedUsers { get; init; } = [];

    /// <summary>Most connections at a time. Default 8192.</summary>
    public int MaxConnections { get; init; } = 8192;

    /// <summary>Most connections of one user at a time. Default 4096.</summary>
    public int MaxConnectionsPerUser { get; init; } = 4096;

    /// <summary>A connection must have said Hello by then. Default 5 s.</summary>
    public TimeSpan HelloDeadline { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What was sent before a close must have been taken by then. Default 1 s.</summary>
    public TimeSpan CloseDeadline { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Most bytes that wait to go out over one connection. Default 64 MiB: four messages of the largest size.</summary>
    public long MaxWaitingBytes { get; init; } = 4L * SocketLimits.MaxMessageBytes;

    /// <summary>Most messages that wait to go out over one connection. Default 4096.</summary>
    public int MaxWaitingMessages { get; init; } = 4096;

    /// <summary>Most descriptors that wait to go out over one connection, or that came over it with an unfinished message. Default 16384.</summary>
    public int MaxDescriptors { get; init; } = 16384;

    /// <summary>Most bytes of unfinished messages over all connections. Default 256 MiB.</summary>
    public long MaxUnfinishedBytes { get; init; } = 256L << 20;

    /// <summary>Most commands of one connection that wait for its session's actor; no more are read before. Default 256.</summary>
    public int MaxWaitingCommands { get; init; } = 256;

    /// <summary>Most sessions of one connection. Default 8.</summary>
    public int MaxSessionsPerConnection { get; init; } = 8;

    /// <summary>Most files of tags that are kept. Default 1024.</summary>
    public int MaxTagFiles { get; init; } = 1024;
}
