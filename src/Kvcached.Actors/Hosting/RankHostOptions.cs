namespace Kvcached.Actors.Hosting;

/// <summary>What the actors of one host need to know. Bound by the host from its configuration and checked there.</summary>
public sealed record RankHostOptions
{
    /// <summary>Name of the domain: 1 to 32 letters, digits and dashes. Default <c>default</c>.</summary>
    public string Domain { get; init; } = "default";

    /// <summary>Hosts that the domain has when it is complete, 1 to 1024. Default 1.</summary>
    public int ExpectedHosts { get; init; } = 1;

    /// <summary>Address that Akka.Remote binds and advertises. Default 127.0.0.1.</summary>
    public string BindAddress { get; init; } = "127.0.0.1";

    /// <summary>Port of Akka.Remote; 0 takes a free one. Default 8550.</summary>
    public int Port { get; init; } = 8550;

    /// <summary>Addresses (<c>host:port</c>) of hosts to join; empty = join oneself (first host of a domain).</summary>
    public IReadOnlyList<string> SeedHosts { get; init; } = [];

    /// <summary>Where the epoch is kept, private to the user.</summary>
    public required string RunDirectory { get; init; }

    /// <summary>
    /// How coordinators reach ranks of their machine: true by a Unix socket in <see cref="RunDirectory"/> where both can, false by Akka.Remote always. Default true.
    /// </summary>
    public bool UsesLocalLanes { get; init; } = true;

    /// <summary>Device name, for people.</summary>
    public string DeviceName { get; init; } = "host memory";

    /// <summary>Path of the copier, for checking data; null finds it beside the host.</summary>
    public string? CopierPath { get; init; }

    /// <summary>The copier answers one request by then, or is ended. Default 10 s.</summary>
    public TimeSpan CopierCallTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Ranks answer a decision by then, or the map is aborted. Default 2 s.</summary>
    public TimeSpan DecisionDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A session that isn't renewed for so long ends. Default 15 s.</summary>
    public TimeSpan SessionLease { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A pool whose engine's session wasn't renewed is kept for so long, for its next scheduler to take over; zero = closed at once. Default 60 s.</summary>
    public TimeSpan ReopenWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A pool whose worker on a rank has gone is withdrawn when none attaches there for so long. Default 60 s.</summary>
    public TimeSpan ReattachWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A host that ended is back by then, or pools whose workers keep its memory are given up. Default 60 s.</summary>
    public TimeSpan HostReturnWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The engine of a pool that lost memory ends its steps and closes it by then; later what is left is quarantined until its workers end. Default 30 s.</summary>
    public TimeSpan QuiesceWindow { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>An engine that returns extents is answered by then, even when their turn hasn't come. Default 10 s.</summary>
    public TimeSpan ReturnDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A new coordinator gives up a pool when not all its ranks have said by then what they hold. Default 60 s.</summary>
    public TimeSpan RecoveryDeadline { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// An engine's worker carries an operation out by then; below <see cref="DecisionDeadline"/>, so that the rank can still answer in time. Default 1 s.
    /// </summary>
    public TimeSpan WorkerDeadline { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>An engine answers a revoke by then, or counts as having given nothing up. Default 250 ms.</summary>
    public TimeSpan RevokeDeadline { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>A pool above its weighted share that is asked to shrink gives back by then; zero = none is asked. Default 1 s.</summary>
    public TimeSpan ShrinkDeadline { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A pool that didn't shrink when asked is left alone for so long. Default 10 s.</summary>
    public TimeSpan ShrinkPause { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Who makes room for whom, one of <see cref="Core.Sharing.SharingPolicies"/>; the same on all hosts. Default <c>proportional</c>.</summary>
    public string SharingPolicy { get; init; } = Core.Sharing.SharingPolicies.Default.Name;

    /// <summary>How often a rank makes itself known to the coordinator. Default 500 ms.</summary>
    public TimeSpan RegisterInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often kept memory that is too old is released and quarantined extents are tried again. Default 1 s.</summary>
    public TimeSpan HousekeepingInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How the rank looks at what others use of its device; null = not at all.</summary>
    public Ranks.DeviceWatchSettings? DeviceWatch { get; init; }

    /// <summary>How hosts show each other that they are hosts of the domain, and hide what they say; null = not at all.</summary>
    public RemotingTls? Tls { get; init; }

    /// <summary>An extent takes at most this share of its pool's limit. (0, 1]. Default 1/16.</summary>
    public double MaxExtentShare { get; init; } = 1.0 / 16;

    /// <summary>Requests that may wait for one pool. Default 1024.</summary>
    public int MaxWaitingRequestsPerPool { get; init; } = 1024;

    /// <summary>For tests only: whether the signal SIGUSR1 makes the page mapper fail, and SIGUSR2 cuts the coordinator's lane. Default false.</summary>
    public bool IsCrashSignalHeard { get; init; }
}
