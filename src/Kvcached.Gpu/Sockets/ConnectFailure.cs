namespace Kvcached.Gpu.Sockets;

/// <summary>Why a path could not be connected to.</summary>
public enum ConnectFailureReason
{
    /// <summary>Nothing is there.</summary>
    NoSuchFile,

    /// <summary>A socket is there, but nobody serves it.</summary>
    Refused,

    /// <summary>The file, or a directory on the way, doesn't let this user in.</summary>
    NoPermission,

    /// <summary>What is there is no socket, or one of another type.</summary>
    NotASocket,

    /// <summary>The path is empty or longer than a socket's may be.</summary>
    BadPath,

    /// <summary>Somebody listens but didn't take the connection in time.</summary>
    TimedOut,

    /// <summary>The system refused for a reason of its own, such as too many open files.</summary>
    System,
}

/// <summary>Why a path could not be connected to, in words too.</summary>
/// <param name="Reason">For programs.</param>
/// <param name="Text">For people: what failed, on what, what to do.</param>
public sealed record ConnectFailure(ConnectFailureReason Reason, string Text);
