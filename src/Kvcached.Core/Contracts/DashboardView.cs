namespace Kvcached.Core.Contracts;

/// <summary>What the page shows, once a second: data of <c>/dashboard/stream</c>.</summary>
/// <param name="Domain">The pools and what was decided; null while the coordinator doesn't answer.</param>
/// <param name="Gpus">The GPUs; empty then.</param>
/// <param name="Members">The hosts.</param>
/// <param name="Problem">For people: why there is no domain; empty when there is.</param>
public sealed record DashboardView(PoolsView? Domain, IReadOnlyList<GpuView> Gpus, ClusterMembersView Members, string Problem);
