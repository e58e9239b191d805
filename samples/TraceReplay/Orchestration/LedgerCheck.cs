using System.Collections.Immutable;
using Kvcached.Core.Units;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>What the hosts still hold after all engines have closed.</summary>
/// <param name="Decisions">Decisions of the run.</param>
/// <param name="DigestMismatches">Ranks whose layout wasn't the expected one.</param>
/// <param name="LeakedPages">Pages of 2 MiB that are still mapped, reserved or quarantined, over all GPUs.</param>
/// <param name="OpenPools">Pools that are still there.</param>
/// <param name="Problem">Why the hosts could not be asked; null when they answered.</param>
internal sealed record LedgerCheck(long Decisions, long DigestMismatches, long LeakedPages, int OpenPools, string? Problem)
{
    /// <summary>Unmapping goes on for a moment after a pool was closed.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private const long PageBytes = 2 * ByteSize.MiB;

    /// <summary>File descriptors of memory that hosts still have open.</summary>
    public int LeakedDescriptors { get; init; }

    public bool IsClean => HasAllBack && DigestMismatches == 0;

    private bool HasAllBack => Problem is null && LeakedPages == 0 && LeakedDescriptors == 0 && OpenPools == 0;

    /// <summary>Asks the hosts until everything has come back, or the time for it is over.</summary>
    public static async Task<LedgerCheck> RunAsync(ImmutableArray<ManagementClient> hosts, TimeProvider time, CancellationToken cancellation)
    {
        var begin = time.GetTimestamp();
        while (true)
        {
            var check = await LookAsync(hosts, cancellation);
            if (check.HasAllBack || time.GetElapsedTime(begin) > Limit)
            {
                return check;
            }

            await Task.Delay(Interval, time, cancellation);
        }
    }

    /// <summary>
    /// Bytes of one GPU that should have come back: the larger of what the coordinator counts and what the rank itself holds.
    /// Memory that a rank keeps belongs to a pool, so it must be gone with the pools.
    /// </summary>
    /// <param name="answers">What each host said about that GPU.</param>
    internal static long HeldBytes(IEnumerable<GpuLedger> answers) =>
        answers.Max(gpu => Math.Max(
            gpu.UsedBytes + gpu.ReservedBytes + gpu.QuarantinedBytes,
            (gpu.RankMappedBytes ?? 0) + (gpu.RankKeptBytes ?? 0) + (gpu.RankQuarantinedBytes ?? 0)));

    private static async Task<LedgerCheck> LookAsync(ImmutableArray<ManagementClient> hosts, CancellationToken cancellation)
    {
        var answers = await Task.WhenAll(hosts.Select(host => host.GetGpusAsync(cancellation)));
        if (await hosts[0].GetPoolsAsync(cancellation) is not { Counters: { } counters, Pools.IsDefault: false } pools || Array.Exists(answers, gpus => gpus is null))
        {
            return new LedgerCheck(0, 0, 0, 0, "a host could not say what is still held: it didn't answer /pools and /gpus.");
        }

        var gpus = answers.SelectMany(answer => answer!).GroupBy(gpu => gpu.Gpu).ToList();
        return gpus.Count == hosts.Length
            ? new LedgerCheck(
                counters.Decisions, counters.DigestMismatches, gpus.Sum(gpu => (HeldBytes(gpu) + PageBytes - 1) / PageBytes), pools.Pools.Length, null)
            {
                LeakedDescriptors = gpus.Sum(gpu => gpu.Max(answer => answer.FileDescriptorCount ?? 0)),
            }
            : new LedgerCheck(counters.Decisions, counters.DigestMismatches, 0, pools.Pools.Length, $"the hosts know {gpus.Count} GPUs at the end; {hosts.Length} were started.");
    }
}
