using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>
/// One GPU of <c>/gpus</c>: what the coordinator counts for it and, from <paramref name="RankMappedBytes"/> on, what its own host says; those
/// are null in the answers of other hosts.
/// </summary>
internal sealed record GpuLedger(
    string Gpu, bool IsAvailable, long UsedBytes, long ReservedBytes, long QuarantinedBytes,
    long? RankMappedBytes, long? RankKeptBytes, long? RankQuarantinedBytes, int? FileDescriptorCount = null);

/// <summary>The domain's part of <c>/pools</c>.</summary>
/// <param name="Counters">What was decided.</param>
/// <param name="Pools">Open pools.</param>
/// <param name="EpochNodeUid">UID of the coordinator's node, in hexadecimal.</param>
internal sealed record PoolLedger(LedgerCounters? Counters, ImmutableArray<OpenPool> Pools, string? EpochNodeUid = null);

/// <summary>What <c>/cluster/members</c> says of members.</summary>
internal sealed record ClusterMembers(string SelfNode, ImmutableArray<ClusterMember> Members, string? Oldest);

/// <param name="Node">Address, such as <c>akka.tcp://kvcached@127.0.0.1:8550</c>.</param>
/// <param name="Status"><c>Up</c> for one that takes part.</param>
internal sealed record ClusterMember(string Node, string Status);

/// <summary>One open pool.</summary>
/// <param name="Name">Its name.</param>
/// <param name="MappedBytes">Bytes mapped for it, per rank.</param>
internal sealed record OpenPool(string Name, ImmutableArray<long> MappedBytes);

/// <summary>Counters of <c>/pools</c> that a run reports.</summary>
internal sealed record LedgerCounters(long Decisions, long DigestMismatches);

/// <summary>Reads a host's management HTTP.</summary>
internal sealed class ManagementClient(int port) : IDisposable
{
    private readonly HttpClient _http = new()
    {
        BaseAddress = new Uri($"http://{ReplayRun.Loopback}:{port}/"),
        Timeout = TimeSpan.FromSeconds(5),
    };

    /// <summary>True once the host takes part in a complete domain.</summary>
    public async Task<bool> IsReadyAsync(CancellationToken cancellation)
    {
        try
        {
            using var response = await _http.GetAsync(new Uri("ready", UriKind.Relative), cancellation);
            return response.StatusCode == HttpStatusCode.OK;
        }
        catch (Exception e) when (IsUnavailable(e, cancellation))
        {
            return false;
        }
    }

    /// <summary>The pools, or null while the host can't say.</summary>
    public Task<PoolLedger?> GetPoolsAsync(CancellationToken cancellation) => GetAsync<PoolLedger>("pools", cancellation);

    /// <summary>The GPUs, or null while the host can't say.</summary>
    public Task<GpuLedger[]?> GetGpusAsync(CancellationToken cancellation) => GetAsync<GpuLedger[]>("gpus", cancellation);

    /// <summary>The cluster's members, or null while the host can't say.</summary>
    public Task<ClusterMembers?> GetMembersAsync(CancellationToken cancellation) => GetAsync<ClusterMembers>("cluster/members", cancellation);

    public void Dispose() => _http.Dispose();

    private async Task<T?> GetAsync<T>(string path, CancellationToken cancellation)
        where T : class
    {
        try
        {
            return await _http.GetFromJsonAsync<T>(new Uri(path, UriKind.Relative), JsonSerializerOptions.Web, cancellation);
        }
        catch (Exception e) when (e is JsonException || IsUnavailable(e, cancellation))
        {
            return null;
        }
    }

    private static bool IsUnavailable(Exception e, CancellationToken cancellation) =>
        e is HttpRequestException || (e is TaskCanceledException && !cancellation.IsCancellationRequested);
}
