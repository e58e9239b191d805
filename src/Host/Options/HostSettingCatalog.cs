namespace Kvcached.Host.Options;

/// <summary>Every setting of the host, in the order of the help text.</summary>
internal static class HostSettingCatalog
{
    public const string Gpu = "gpu";
    public const string Domain = "domain";
    public const string Hosts = "hosts";
    public const string Backend = "backend";
    public const string Memory = "memory";
    public const string Port = "port";
    public const string Bind = "bind";
    public const string Seed = "seed";
    public const string AllowInsecureRemoting = "allow-insecure-remoting";
    public const string ManagementPort = "management-port";
    public const string ManagementToken = "management-token";
    public const string AkkaManagementPort = "akka-management-port";
    public const string RankLink = "rank-link";
    public const string RunDirectory = "run-dir";
    public const string Socket = "socket";
    public const string SocketGroup = "socket-group";
    public const string AllowUser = "allow-uid";
    public const string MaxConnections = "max-connections";
    public const string MaxConnectionsPerUser = "max-connections-per-user";
    public const string ConfigFile = "config";
    public const string CopierPath = "copier-path";
    public const string CopierCallTimeout = "copier-call-timeout";
    public const string JoinTimeout = "join-timeout";
    public const string ManagementAskTimeout = "management-ask-timeout";
    public const string OtlpEndpoint = "otlp-endpoint";
    public const string TraceShare = "trace-share";
    public const string DecisionDeadline = "decision-deadline";
    public const string SessionLease = "session-lease";
    public const string RevokeDeadline = "revoke-deadline";
    public const string ShrinkDeadline = "shrink-deadline";
    public const string ShrinkPause = "shrink-pause";
    public const string SharingPolicy = "sharing-policy";
    public const string ReturnDeadline = "return-deadline";
    public const string RecoveryDeadline = "recovery-deadline";
    public const string WorkerDeadline = "worker-deadline";
    public const string HostReturnWindow = "host-return-window";
    public const string QuiesceWindow = "quiesce-window";
    public const string ReattachWindow = "reattach-window";
    public const string ReopenWindow = "reopen-window";
    public const string RegisterInterval = "register-interval";
    public const string HousekeepingInterval = "housekeeping-interval";
    public const string KeptDecay = "kept-decay";
    public const string MaxKeptPerPool = "max-kept-per-pool";
    public const string MaxExtentShare = "max-extent-share";
    public const string MaxWaitingRequests = "max-waiting-requests-per-pool";
    public const string TestCrashSignal = "test-crash-signal";
    public const string TlsCertificate = "tls-certificate";
    public const string TlsKey = "tls-key";
    public const string TlsAuthority = "tls-authority";
    public const string Headroom = "headroom";
    public const string HeadroomCalm = "headroom-calm";
    public const string TestForeignMemory = "test-foreign-memory";
    public const string TestFail = "test-fail";

    public static IReadOnlyList<HostSetting> All { get; } =
    [
        new(Gpu, "GPU", "the GPU to serve: its UUID, its index, 'none' or 'none:K' (no GPU, host memory, id HOST-K); default auto = GPU 0 if there is one, else none"),
        new(Domain, "NAME", "the domain that it belongs to, 1 to 32 letters, digits and dashes; default 'default'"),
        new(Hosts, "N", "hosts of the complete domain, 1 to 1024; default 1"),
        new(Backend, "NAME", "auto, cuda or host; default auto = cuda when there is a GPU"),
        new(Memory, "SIZE", "bytes that it may lend, such as 40GiB; default auto = 90 % of the GPU's memory less 512 MiB, or a quarter of main memory"),
        new(Headroom, "SIZE", "what stays free of the device beside what others use, such as 2GiB; when it would not, warm memory is given back and growth refused; off = others aren't looked at; default auto = 512MiB on a GPU, off for host memory"),
        new(HeadroomCalm, "TIME", "room that others leave is taken when they have left it for so long, 0 to 1h; default 5s"),
        new(Port, "PORT", "port of Akka.Remote, 0 = a free one; default 8550"),
        new(Bind, "ADDRESS", "IP address that Akka.Remote binds and others reach; default 127.0.0.1"),
        new(Seed, "HOST:PORT", "a host of the domain to join, repeatable; default none = opens the domain", IsRepeatable: true),
        new(TlsCertificate, "FILE", "PEM file with this host's certificate, for mutual TLS between hosts; with tls-key and tls-authority; default none"),
        new(TlsKey, "FILE", "PEM file with the private key of that certificate; default none"),
        new(TlsAuthority, "FILE", "PEM file with the domain's own certificate authority: who shows a certificate of it is a host; default none"),
        new(AllowInsecureRemoting, "", "lets --bind name an address that isn't loopback, though mutual TLS isn't set up"),
        new(ManagementPort, "PORT", "port of the management HTTP on loopback, 0 = a free one; default 8558"),
        new(ManagementToken, "FILE", "file with the token that changes need, which others can't read; default none = one is made at each start, and kept in the run directory in either case"),
        new(AkkaManagementPort, "PORT", "port of Akka.Management's own routes on loopback, 0 = a free one; default off"),
        new(RankLink, "NAME", "how the coordinator reaches ranks: local = by a Unix socket in the run directory where both are on one machine, else by Akka.Remote; akka = always by Akka.Remote; default local"),
        new(RunDirectory, "DIR", "directory for what outlives the process, private to the user, shared by the domain's hosts of one machine; default $XDG_RUNTIME_DIR/kvcached or /tmp/kvcached-UID"),
        new(Socket, "PATH", "Unix socket for engines, at most 107 bytes; default RUN_DIR/engine-GPU.sock, for host memory of another domain than 'default' RUN_DIR/engine-HOST-K@DOMAIN.sock"),
        new(SocketGroup, "NAME", "group whose users may connect to the engine socket too; default none"),
        new(AllowUser, "UID[,UID]", "users who may connect to the engine socket besides root and the host's own, repeatable; default none", IsRepeatable: true),
        new(MaxConnections, "N", "connections of engines at a time, 1 to 1000000; default 8192"),
        new(MaxConnectionsPerUser, "N", "connections of one user's engines at a time, 1 to 1000000; default 4096"),
        new(ConfigFile, "FILE", "HOCON file merged over the built-in configuration; its kvcached section may hold these settings"),
        new(CopierPath, "FILE", "the copier's executable; default beside the host"),
        new(CopierCallTimeout, "TIME", "how long one call of the copier may take, 100ms to 10m; default 10s"),
        new(JoinTimeout, "TIME", "how long joining the cluster may take, 1s to 1h, 0 = for ever; default 2m"),
        new(ManagementAskTimeout, "TIME", "how long management waits for the coordinator, 50ms to 1m; default 2s"),
        new(OtlpEndpoint, "URL", "where metrics are pushed by OTLP over gRPC, such as http://127.0.0.1:4317; default none, /metrics is served in any case"),
        new(TraceShare, "SHARE", "share of decisions whose spans are pushed to otlp-endpoint, 0 to 1; what the coordinator's host chooses counts, on all hosts where it isn't 0; default 0 = none"),
        new(DecisionDeadline, "TIME", "ranks answer a decision by then, or it is aborted, 50ms to 1m; default 2s"),
        new(SessionLease, "TIME", "a session that isn't renewed for so long ends, 1s to 1h; default 15s"),
        new(RevokeDeadline, "TIME", "an engine answers a revoke by then, 10ms to 1m; default 250ms"),
        new(ShrinkDeadline, "TIME", "a pool above its share that is asked to shrink gives back by then, 10ms to 1m, 0 = none is asked; default 1s"),
        new(ShrinkPause, "TIME", "a pool that didn't shrink when asked is left alone for so long, 100ms to 1h; default 10s"),
        new(SharingPolicy, "NAME", "who makes room for whom: 'proportional' (weights are proportions) or 'priority' (who has a higher weight takes from those below); the same on all hosts; default proportional"),
        new(ReturnDeadline, "TIME", "an engine that returns extents is answered by then, even when their turn hasn't come, 100ms to 10m; default 10s"),
        new(RecoveryDeadline, "TIME", "a new coordinator gives up a pool when not all its ranks have said by then what they hold, 1s to 1h; default 1m"),
        new(WorkerDeadline, "TIME", "an engine's worker maps or unmaps by then, or the rank answers without it, 10ms to 1m and below decision-deadline; default 1s"),
        new(ReattachWindow, "TIME", "a pool whose worker has gone is withdrawn when none attaches for so long, 1s to 1h; default 1m"),
        new(HostReturnWindow, "TIME", "pools whose workers keep the memory of a host that ended are given up when it isn't back for so long, 1s to 1h; default 1m"),
        new(QuiesceWindow, "TIME", "the engine of a pool that lost memory closes it by then, or what is left stays quarantined until its workers end, 1s to 1h; default 30s"),
        new(ReopenWindow, "TIME", "a pool whose engine has gone is kept for its next scheduler for so long, 1s to 1h, 0 = closed at once; default 1m"),
        new(RegisterInterval, "TIME", "how often a rank makes itself known, 50ms to 1m; default 500ms"),
        new(HousekeepingInterval, "TIME", "how often kept memory is aged and quarantined extents are tried again, 50ms to 1m; default 1s"),
        new(KeptDecay, "TIME", "memory kept unused above its pool's floor is released after so long, 100ms to 1h, 0 = at the next housekeeping; default 10s"),
        new(MaxKeptPerPool, "SIZE", "most memory that one pool keeps unused, such as 2GiB, or 'unlimited'; default unlimited"),
        new(MaxExtentShare, "SHARE", "an extent takes at most this share of its pool's limit, above 0 to 1; default 0.0625"),
        new(MaxWaitingRequests, "N", "requests that may wait for one pool, 1 to 1000000; default 1024"),
        new(TestCrashSignal, "", "for tests only: the signal SIGUSR1 makes the page mapper fail, as a bug would, and SIGUSR2 cuts the coordinator's lane; default off"),
        new(TestForeignMemory, "FILE", "for tests only: a file with the size of what others use of the device, in place of asking its driver; default none"),
        new(TestFail, "STEP:N:CODE", "for tests only: the driver's N-th call of that step (any, reserve, free, create, map, setaccess, unmap, release, export, import) answers that code, or hangs, repeatable; default none", IsRepeatable: true),
    ];

    private static readonly Dictionary<string, HostSetting> ByName = All.ToDictionary(setting => Normalize(setting.Key), StringComparer.Ordinal);

    /// <summary>Finds a setting by its name in any of its spellings, or null.</summary>
    public static HostSetting? Find(string name) => ByName.GetValueOrDefault(Normalize(name));

    private static string Normalize(string name) =>
        name.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal).ToUpperInvariant();
}
