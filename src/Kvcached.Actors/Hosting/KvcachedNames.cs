namespace Kvcached.Actors.Hosting;

/// <summary>Names that hosts and engines must agree on.</summary>
public static class KvcachedNames
{
    /// <summary>Name of every host's actor system: part of its addresses.</summary>
    public const string ActorSystem = "kvcached";

    /// <summary>Actor that engines talk to, on every host.</summary>
    public const string EngineGateway = "engines";

    /// <summary>Actor that checks data, on every host.</summary>
    public const string DataChecker = "data-checker";

    /// <summary>Supervisor of the rank, on every host.</summary>
    public const string RankSupervisor = "rank";

    /// <summary>The domain's coordinator, a cluster singleton.</summary>
    public const string Coordinator = "coordinator";

    /// <summary>Cluster role of all hosts of a domain.</summary>
    public static string RoleOf(string domain) => $"domain-{domain}";
}
