namespace Kvcached.Host.Startup;

/// <summary>Exit codes of the host; supervisors and <c>kvctl</c> rely on them.</summary>
internal enum HostExitCode
{
    Stopped = 0,
    Failed = 1,
    Usage = 2,
    NoGpu = 3,
    DeviceLocked = 4,
    PortInUse = 5,
    UnsafeDirectory = 6,
    NotJoined = 7,
    RemovedFromCluster = 8,
    SocketUnusable = 9,
}

/// <summary>The exit codes in words.</summary>
internal static class HostExitCodes
{
    public static string Describe(HostExitCode code) => code switch
    {
        HostExitCode.Stopped => "stopped as asked, all memory returned",
        HostExitCode.Failed => "failed; the message says at what",
        HostExitCode.Usage => "a setting is unknown, missing or out of range",
        HostExitCode.NoGpu => "the GPU asked for isn't there, or can't be used",
        HostExitCode.DeviceLocked => "another host serves that device",
        HostExitCode.PortInUse => "a port is in use",
        HostExitCode.UnsafeDirectory => "the run directory can't be made, or isn't private to the user",
        HostExitCode.NotJoined => "the cluster was not joined in time",
        HostExitCode.RemovedFromCluster => "the cluster removed this host, and it could not join again in time; start it again",
        HostExitCode.SocketUnusable => "the engine socket can't be made, or another host serves it",
        _ => throw new ArgumentOutOfRangeException(nameof(code), code, null),
    };
}
