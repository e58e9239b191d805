using System.Net;
using Kvcached.Actors.Hosting;
using Kvcached.Core.Sharing;
using Kvcached.Core.Units;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Gateway;
using static Kvcached.Host.Options.HostSettingCatalog;

namespace Kvcached.Host.Options;

/// <summary>Turns texts into <see cref="KvcachedHostOptions"/>, or says what is wrong with each of them.</summary>
internal static class HostOptionsReader
{
    /// <summary>Least memory that a host may lend: one page of the default size.</summary>
    public const long MinMemoryBytes = 2 * ByteSize.MiB;

    private const long MaxMemoryBytes = 64 * ByteSize.TiB;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    /// <summary>Reads all settings. The options mean nothing when there are errors.</summary>
    public static (KvcachedHostOptions Options, IReadOnlyList<string> Errors) Read(SettingValues values)
    {
        var read = new SettingReader(values);
        var (host, ranks) = (new KvcachedHostOptions(), new KvcachedHostOptions().Ranks);
        var options = host with
        {
            Gpu = read.Parsed(HostSettingCatalog.Gpu, host.Gpu, GpuChoice.TryParse, $"auto, a UUID (GPU-…), an index from 0 to 255, none, or none:K with K from 0 to {GpuChoice.MaxHostMemoryIndex}"),
            Backend = read.Parsed<BackendChoice?>(Backend, host.Backend, TryParseBackend, "auto, cuda or host")!.Value,
            MemoryBytes = read.Parsed<LentMemory>(Memory, new LentMemory(null), TryParseMemory, $"auto, or {ByteSize.Format(MinMemoryBytes)} to {ByteSize.Format(MaxMemoryBytes)}, such as 40GiB").Bytes,
            ManagementPort = read.Integer(ManagementPort, host.ManagementPort, 0, IPEndPoint.MaxPort),
            ManagementTokenFile = EmptyIsNull(read.Text(HostSettingCatalog.ManagementToken)),
            AkkaManagementPort = read.Text(AkkaManagementPort) is null or "off" ? null : read.Integer(AkkaManagementPort, 0, 0, IPEndPoint.MaxPort, " or off"),
            RunDirectory = read.Parsed<string?>(HostSettingCatalog.RunDirectory, null, text => IsPlainPath(text) ? text : null, "a path without quotes, backslashes and control characters") is { Length: > 0 } path ? path : null,
            Gateway = ReadGateway(read, host.Gateway),
            JoinTimeout = read.Time(JoinTimeout, host.JoinTimeout, TimeSpan.FromSeconds(1), Hour, isZeroAllowed: true),
            ManagementAskTimeout = read.Time(ManagementAskTimeout, host.ManagementAskTimeout, TimeSpan.FromMilliseconds(50), Minute),
            OtlpEndpoint = read.Text(OtlpEndpoint) is null or "" ? null : read.Parsed<Uri?>(OtlpEndpoint, null, TryParseEndpoint, "http://HOST:PORT or https://HOST:PORT, or nothing"),
            TraceShare = read.Share(HostSettingCatalog.TraceShare, host.TraceShare, isZeroAllowed: true),
            Pages = ReadPages(read, host.Pages),
            Tls = ReadTls(read),
            Headroom = read.Parsed<HeadroomChoice?>(HostSettingCatalog.Headroom, host.Headroom, HeadroomChoice.TryParse, HeadroomChoice.Allowed)!.Value,
            HeadroomCalm = read.Time(HostSettingCatalog.HeadroomCalm, host.HeadroomCalm, TimeSpan.FromMilliseconds(1), Hour, isZeroAllowed: true),
            ForeignMemoryFile = EmptyIsNull(read.Text(TestForeignMemory)),
            Faults = [.. read.List(TestFail, text => NamedFault.TryParse(text, out _), NamedFault.Allowed).Select(text => NamedFault.TryParse(text, out var fault) ? fault : default)],
            Ranks = ReadRanks(read, ranks),
        };

        CheckTogether(read, options);
        return (options, read.Errors);
    }

    private static TlsFiles? ReadTls(SettingReader read)
    {
        var (certificate, key, authority) = (EmptyIsNull(read.Text(TlsCertificate)), EmptyIsNull(read.Text(TlsKey)), EmptyIsNull(read.Text(TlsAuthority)));
        if (certificate is null && key is null && authority is null)
        {
            return null;
        }

        foreach (var (name, value) in ((string, string?)[])[(TlsCertificate, certificate), (TlsKey, key), (TlsAuthority, authority)])
        {
            if (value is null)
            {
                read.Refuse(name, $"is missing; mutual TLS needs {TlsCertificate}, {TlsKey} and {TlsAuthority}");
            }
        }

        return new TlsFiles(certificate ?? string.Empty, key ?? string.Empty, authority ?? string.Empty);
    }

    private static GatewayOptions ReadGateway(SettingReader read, GatewayOptions defaults) => defaults with
    {
        SocketPath = EmptyIsNull(read.Parsed<string?>(HostSettingCatalog.Socket, null, text => IsSocketPath(text) ? text : null, "a path of at most 107 bytes without control characters")),
        GroupName = EmptyIsNull(read.Text(SocketGroup)),
        AllowedUsers = [.. read.List(AllowUser, text => text.Split(',').All(part => TryParseUser(part) is not null), "user ids, such as 1000 or 1000,1001")
            .SelectMany(text => text.Split(',')).Select(TryParseUser).OfType<uint>().Distinct()],
        MaxConnections = read.Integer(MaxConnections, defaults.MaxConnections, 1, 1_000_000),
        MaxConnectionsPerUser = read.Integer(MaxConnectionsPerUser, defaults.MaxConnectionsPerUser, 1, 1_000_000),
    };

    private static PagePoolOptions ReadPages(SettingReader read, PagePoolOptions defaults) => defaults with
    {
        KeptDecay = read.Time(KeptDecay, defaults.KeptDecay, TimeSpan.FromMilliseconds(100), Hour, isZeroAllowed: true),
        MaxKeptBytesPerPool = read.Parsed<long?>(MaxKeptPerPool, defaults.MaxKeptBytesPerPool, TryParseKept, "unlimited, or 0 and more, such as 2GiB")!.Value,
    };

    private static RankHostOptions ReadRanks(SettingReader read, RankHostOptions defaults) => defaults with
    {
        Domain = read.Parsed(HostSettingCatalog.Domain, defaults.Domain, text => IsDomainName(text) ? text : null, "1 to 32 letters, digits and dashes"),
        ExpectedHosts = read.Integer(Hosts, defaults.ExpectedHosts, 1, 1024),
        BindAddress = read.Parsed(Bind, defaults.BindAddress, TryParseAddress, "the IP address of an interface, such as 127.0.0.1; not 0.0.0.0, since others are told this address"),
        Port = read.Integer(Port, defaults.Port, 0, IPEndPoint.MaxPort),
        UsesLocalLanes = read.Parsed<bool?>(RankLink, defaults.UsesLocalLanes, text => text switch { "local" => true, "akka" => false, _ => null }, "local or akka")!.Value,
        SeedHosts = read.List(Seed, IsHostAndPort, "HOST:PORT with a port from 1 to 65535"),
        CopierPath = EmptyIsNull(read.Text(CopierPath)),
        CopierCallTimeout = read.Time(CopierCallTimeout, defaults.CopierCallTimeout, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(10)),
        DecisionDeadline = read.Time(DecisionDeadline, defaults.DecisionDeadline, TimeSpan.FromMilliseconds(50), Minute),
        SessionLease = read.Time(SessionLease, defaults.SessionLease, TimeSpan.FromSeconds(1), Hour),
        RevokeDeadline = read.Time(RevokeDeadline, defaults.RevokeDeadline, TimeSpan.FromMilliseconds(10), Minute),
        ShrinkDeadline = read.Time(ShrinkDeadline, defaults.ShrinkDeadline, TimeSpan.FromMilliseconds(10), Minute, isZeroAllowed: true),
        ShrinkPause = read.Time(ShrinkPause, defaults.ShrinkPause, TimeSpan.FromMilliseconds(100), Hour),
        SharingPolicy = read.Parsed(
            HostSettingCatalog.SharingPolicy, defaults.SharingPolicy, text => SharingPolicies.TryFind(text, out var policy) ? policy.Name : null, string.Join(" or ", SharingPolicies.All.Select(policy => policy.Name))),
        ReturnDeadline = read.Time(ReturnDeadline, defaults.ReturnDeadline, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(10)),
        RecoveryDeadline = read.Time(RecoveryDeadline, defaults.RecoveryDeadline, TimeSpan.FromSeconds(1), Hour),
        WorkerDeadline = read.Time(WorkerDeadline, defaults.WorkerDeadline, TimeSpan.FromMilliseconds(10), Minute),
        ReattachWindow = read.Time(ReattachWindow, defaults.ReattachWindow, TimeSpan.FromSeconds(1), Hour),
        HostReturnWindow = read.Time(HostReturnWindow, defaults.HostReturnWindow, TimeSpan.FromSeconds(1), Hour),
        QuiesceWindow = read.Time(QuiesceWindow, defaults.QuiesceWindow, TimeSpan.FromSeconds(1), Hour),
        ReopenWindow = read.Time(ReopenWindow, defaults.ReopenWindow, TimeSpan.FromSeconds(1), Hour, isZeroAllowed: true),
        RegisterInterval = read.Time(RegisterInterval, defaults.RegisterInterval, TimeSpan.FromMilliseconds(50), Minute),
        HousekeepingInterval = read.Time(HousekeepingInterval, defaults.HousekeepingInterval, TimeSpan.FromMilliseconds(50), Minute),
        MaxExtentShare = read.Share(MaxExtentShare, defaults.MaxExtentShare),
        MaxWaitingRequestsPerPool = read.Integer(MaxWaitingRequests, defaults.MaxWaitingRequestsPerPool, 1, 1_000_000),
        IsCrashSignalHeard = read.Switch(TestCrashSignal),
    };

    private static void CheckTogether(SettingReader read, KvcachedHostOptions options)
    {
        var isInsecureAllowed = read.Switch(AllowInsecureRemoting);
        if (!isInsecureAllowed && options.Tls is null && IPAddress.TryParse(options.Ranks.BindAddress, out var address) && !IPAddress.IsLoopback(address))
        {
            read.Refuse(Bind, "isn't loopback, and mutual TLS isn't set up, so that anyone who reaches the port could command this host; set up TLS (tls-certificate, tls-key, tls-authority), use a loopback address, or add --allow-insecure-remoting on a network that only the domain's hosts can reach");
        }

        if (options.Ranks.Port != 0 && options.Ranks.Port == options.ManagementPort)
        {
            read.Refuse(ManagementPort, $"is also the port of Akka.Remote ({Port} = {options.Ranks.Port}); choose another, or 0 for a free one");
        }

        if (options.AkkaManagementPort is > 0 and var akkaPort && (akkaPort == options.Ranks.Port || akkaPort == options.ManagementPort))
        {
            read.Refuse(AkkaManagementPort, "is already the port of Akka.Remote or of the management HTTP; choose another, or 0 for a free one");
        }

        if (options.TraceShare > 0 && options.OtlpEndpoint is null)
        {
            read.Refuse(HostSettingCatalog.TraceShare, $"has nowhere to go; name a collector with {OtlpEndpoint}");
        }

        if (options.Ranks.WorkerDeadline >= options.Ranks.DecisionDeadline)
        {
            read.Refuse(WorkerDeadline, $"isn't below {DecisionDeadline}, so that a rank could never answer for a worker that hangs; lower it, or raise {DecisionDeadline}");
        }

        if (options.Backend == BackendChoice.Cuda && options.Gpu is GpuChoice.HostMemory)
        {
            read.Refuse(Backend, "needs a GPU, but gpu says none; name a GPU, or use --backend host");
        }

        if (options.Backend == BackendChoice.Host && options.Gpu is GpuChoice.ByIndex or GpuChoice.ByUuid)
        {
            read.Refuse(Backend, "lends main memory, but gpu names a GPU; use --gpu none:K, or --backend cuda");
        }
    }

    private static BackendChoice? TryParseBackend(string text) => text switch
    {
        "auto" => BackendChoice.Auto,
        "cuda" => BackendChoice.Cuda,
        "host" => BackendChoice.Host,
        _ => null,
    };

    private static LentMemory? TryParseMemory(string text)
    {
        if (text is "auto")
        {
            return new LentMemory(null);
        }

        return ByteSize.TryParse(text, out var bytes) && bytes is >= MinMemoryBytes and <= MaxMemoryBytes ? new LentMemory(bytes) : null;
    }

    private static long? TryParseKept(string text)
    {
        if (text == "unlimited")
        {
            return long.MaxValue;
        }

        return ByteSize.TryParse(text, out var bytes) ? bytes : null;
    }

    private static bool IsDomainName(string text) =>
        text.Length is >= 1 and <= 32 && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');

    private static Uri? TryParseEndpoint(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? url : null;

    private static string? TryParseAddress(string text)
    {
        if (text == "localhost")
        {
            return IPAddress.Loopback.ToString();
        }

        return IPAddress.TryParse(text, out var address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any)
            ? address.ToString()
            : null;
    }

    private static bool IsHostAndPort(string text)
    {
        var colon = text.LastIndexOf(':');
        return colon > 0
            && int.TryParse(text.AsSpan(colon + 1), out var port) && port is >= 1 and <= IPEndPoint.MaxPort
            && Uri.CheckHostName(text[..colon].Trim('[', ']')) != UriHostNameType.Unknown;
    }

    // It becomes part of Akka's configuration.
    private static bool IsPlainPath(string text) => !text.Any(c => c is '"' or '\\' || char.IsControl(c));

    private static bool IsSocketPath(string text) => System.Text.Encoding.UTF8.GetByteCount(text) <= 107 && !text.Any(char.IsControl);

    // The largest number means "no user" to the kernel.
    private static uint? TryParseUser(string text) =>
        uint.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var id) && id != uint.MaxValue ? id : null;

    private static string? EmptyIsNull(string? text) => string.IsNullOrEmpty(text) ? null : text;

    /// <param name="Bytes">The amount; null = automatic.</param>
    private sealed record LentMemory(long? Bytes);
}
