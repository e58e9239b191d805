using System.Runtime.InteropServices;
using Akka.Configuration;
using Kvcached.Core.Units;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Management;
using Kvcached.Host.Options;

namespace Kvcached.Host.Startup;

/// <summary>
/// Starts a host's actors, and starts them anew when the cluster has removed the host: its memory and its engines' connections stay. Gives up when nobody
/// takes it in again.
/// </summary>
internal sealed class HostLives(KvcachedHostOptions options, Config userConfig, PagePool pool, ManagementToken token)
{
    private static readonly TimeSpan FirstBackOff = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(5);

    /// <summary>Runs until told to stop, or unable to go on.</summary>
    public async Task<HostExitCode> RunAsync()
    {
        using var stopping = new CancellationTokenSource();
        using var onTerminate = StopOn(PosixSignal.SIGTERM, stopping);
        using var onInterrupt = StopOn(PosixSignal.SIGINT, stopping);
        using var lasting = new LastingParts(pool, token);
        if (lasting.Recover(options) is { } problem)
        {
            HostProcess.Complain(problem);
            return HostExitCode.Failed;
        }

        var life = options;
        var removedAt = default(long?);
        for (var backOff = FirstBackOff; ; backOff = TimeSpan.FromTicks(Math.Min(LongestBackOff.Ticks, backOff.Ticks * 2)))
        {
            HostLifeEnd end;
            HostPorts? ports;
            StartFailure? failure;
            await using (var server = HostServer.Create(life, userConfig, lasting))
            {
                end = await server.RunAsync(stopping.Token);
                (ports, failure) = (server.Ports, server.Failure);
            }

            if (end == HostLifeEnd.Stuck)
            {
                HostProcess.Complain("its actors did not end in time, since a call of the driver hangs; start the host again.");
                return HostExitCode.Failed;
            }

            if (end == HostLifeEnd.Stopped || stopping.IsCancellationRequested)
            {
                return HostExitCode.Stopped;
            }

            if (end == HostLifeEnd.Removed)
            {
                removedAt = TimeProvider.System.GetTimestamp();
                backOff = FirstBackOff;
                HostProcess.Complain("the cluster removed this host, because others could not reach it for too long; its actors start anew, its memory is kept.");
                life = NextLife(life, ports, lasting.Peers.Addresses);
            }
            else if (removedAt is null)
            {
                HostProcess.Complain(failure?.Message ?? ExplainNotJoined(life));
                return failure?.ExitCode ?? HostExitCode.NotJoined;
            }
            else if (options.JoinTimeout != TimeSpan.Zero && TimeProvider.System.GetElapsedTime(removedAt.Value) >= options.JoinTimeout)
            {
                HostProcess.Complain($"the cluster removed this host, and it could not join again ({failure?.Message ?? ExplainNotJoined(life)}); start it again.");
                return HostExitCode.RemovedFromCluster;
            }

            await Task.Delay(backOff, stopping.Token).ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }

    // With the same ports, by which others know it, and by those who were there before.
    private static KvcachedHostOptions NextLife(KvcachedHostOptions last, HostPorts? ports, IReadOnlyList<string> peers)
    {
        var kept = ports is null ? last : last with
        {
            ManagementPort = ports.Management,
            AkkaManagementPort = ports.AkkaManagement,
            Ranks = last.Ranks with { Port = ports.Cluster },
        };
        return peers.Count == 0 ? kept : kept with { Ranks = kept.Ranks with { SeedHosts = peers } };
    }

    private static string ExplainNotJoined(KvcachedHostOptions life) =>
        $"{HostSettingCatalog.JoinTimeout}: the cluster was not joined within {DurationText.Format(life.JoinTimeout)}; see that a host "
        + $"of domain '{life.Ranks.Domain}' listens at {string.Join(" or ", life.Ranks.SeedHosts)}{(life.Tls is null ? string.Empty : " and that all show certificates of one authority")}.";

    private static PosixSignalRegistration StopOn(PosixSignal signal, CancellationTokenSource stopping) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        stopping.Cancel();
    });
}
