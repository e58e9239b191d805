using System.Globalization;
using System.Net;
using Kvcached.Cli.Commands;
using Kvcached.Core.Contracts;
using Kvcached.Core.Units;

namespace Kvcached.Cli.Checks;

/// <summary>What a host says of itself, its cluster and its domain.</summary>
internal static class HostChecks
{
    // What differs more is no matter of a slow answer.
    private static readonly TimeSpan ToleratedSkew = TimeSpan.FromSeconds(2);

    public static async Task<IReadOnlyList<CheckResult>> RunAsync(HostSettings settings, CancellationToken cancellation)
    {
        var results = new List<CheckResult>();
        using var client = new ManagementClient(settings.ReadUrl());
        ClusterMembersView members;
        try
        {
            members = await client.GetAsync("/cluster/members", ManagementJsonContext.Default.ClusterMembersView, cancellation);
        }
        catch (HostUnreachableException exception)
        {
            return [new CheckResult("host", CheckStatus.Wrong, exception.Message, "Start a host; its ready line names the management port.")];
        }

        results.Add(new("host", CheckStatus.Ok, $"{members.SelfNode} answers at {settings.ReadUrl()}"));
        results.Add(await CheckClockAsync(settings.ReadUrl(), cancellation));
        results.AddRange(members.Unreachable.Select(member => new CheckResult(
            "cluster", CheckStatus.Wrong, $"{member.Node} can't be reached by {string.Join(", ", member.ObservedBy)}", "See whether that host runs; it is removed by itself when it doesn't come back.")));
        results.Add(CheckToken(settings));
        try
        {
            var pools = await client.GetAsync("/pools", ManagementJsonContext.Default.PoolsView, cancellation);
            var gpus = await client.GetAsync("/gpus", ManagementJsonContext.Default.GpuViewArray, cancellation);
            results.AddRange(CheckDomain(pools, gpus));
        }
        catch (HostRefusedException exception)
        {
            results.Add(new("coordinator", CheckStatus.Wrong, exception.Message, "GET /ready says what is missing."));
        }

        return results;
    }

    private static IEnumerable<CheckResult> CheckDomain(PoolsView pools, GpuView[] gpus)
    {
        var available = gpus.Count(gpu => gpu.IsAvailable);
        yield return available >= pools.ExpectedHosts && !pools.IsRecovering
            ? new("domain", CheckStatus.Ok, $"'{pools.Domain}' is complete: {available} hosts, epoch {pools.Epoch}")
            : new("domain", CheckStatus.Wrong, $"'{pools.Domain}' has {available} of {pools.ExpectedHosts} hosts{(pools.IsRecovering ? ", and its coordinator is recovering" : "")}", "Start the missing hosts; GET /ready on each says why it isn't ready.");
        foreach (var gpu in gpus)
        {
            if (gpu.QuarantinedBytes > 0)
            {
                yield return new("quarantine", CheckStatus.Note, $"{gpu.Gpu}: {ByteSize.Format(gpu.QuarantinedBytes)} given up but perhaps still mapped", "It comes back when the engine's workers unmap it or end.");
            }

            if (gpu.DeviceTotalBytes is { } total && gpu.CapacityBytes > total)
            {
                yield return new("capacity", CheckStatus.Wrong, $"{gpu.Gpu} may lend {ByteSize.Format(gpu.CapacityBytes)}, and the device has {ByteSize.Format(total)}", "Lower --memory of its host.");
            }
        }

        foreach (var pool in pools.Pools.Where(pool => pool.State is not "ready"))
        {
            yield return new("pool", CheckStatus.Note, $"{pool.Name} is {pool.State}{(pool.Awaited.Length > 0 ? $"; it waits for {pool.Awaited}" : "")}");
        }
    }

    private static CheckResult CheckToken(HostSettings settings)
    {
        try
        {
            RunDirectory.ReadToken(Environment.GetEnvironmentVariable(ChangeSettings.TokenFileVariable) is { Length: > 0 } file ? file : null, settings.ReadUrl());
            return new("token", CheckStatus.Ok, "can be read: this user may change limits");
        }
        catch (UsageException exception)
        {
            return new("token", CheckStatus.Note, exception.Message, "Only needed for changes.");
        }
    }

    private static async Task<CheckResult> CheckClockAsync(Uri url, CancellationToken cancellation)
    {
        using var http = new HttpClient();
        using var response = await http.GetAsync(new Uri(url, "/alive"), HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (response.StatusCode != HttpStatusCode.OK || response.Headers.Date is not { } date)
        {
            return new("clock", CheckStatus.Note, "the host tells no time");
        }

        var skew = (TimeProvider.System.GetUtcNow() - date).Duration();
        return skew < ToleratedSkew
            ? new("clock", CheckStatus.Ok, "agrees with the host's")
            : new("clock", CheckStatus.Note, string.Create(CultureInfo.InvariantCulture, $"differs from the host's by {skew.TotalSeconds:0} s"), "Only times of events look wrong; have both machines follow a time server.");
    }
}
