namespace Kvcached.Actors.Hosting;

/// <summary>Names that hosts and engines must agree on.</summary>
public static class KvcachedNames
{
    /// <summary>Actor that engines talk to, on every host.</summary>
    public const string EngineGateway = "engines";

    /// <summary>Actor that checks data, on every host.</summary>
    public const string DataChecker = "data-checker";

    /// <summary>Supervisor of the rank, on every host.</summary>
    public const string RankSupervisor = "rank";

    /// <summary>The domain's coordinator, a cluster singleton.</summary>
    public const string Coordinator = "coordinator";
}
