using Kvcached.TraceReplay.Chaos.Faults;

namespace Kvcached.TraceReplay.Tests.Chaos;

public sealed class FaultLogTests
{
    [Fact]
    public void Counts_AreByKind_AndOnlyRecoveredOnesAreTimed()
    {
        var log = new FaultLog();
        foreach (var seconds in (double?[])[3, 1, 2, null])
        {
            log.Add(new FaultOutcome(FaultKind.HostKill, "host 1", seconds, seconds is null ? "not back" : null));
        }

        log.Add(new FaultOutcome(FaultKind.WorkerPause, "conv rank 0", null, "not back"));

        var injected = log.Injected([FaultKind.HostKill, FaultKind.WorkerPause, FaultKind.MapperCrash]);
        Assert.Equal((4, 1, 0), (injected["hostKill"], injected["workerPause"], injected["mapperCrash"]));
        Assert.Equal(3, Assert.Single(log.Recoveries).Value);
        Assert.Equal((2.0, 3.0), (log.RecoverySecondsP50["hostKill"], log.RecoverySecondsMax["hostKill"]));
    }
}
