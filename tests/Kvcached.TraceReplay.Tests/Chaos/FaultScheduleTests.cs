using Kvcached.TraceReplay.Chaos.Faults;

namespace Kvcached.TraceReplay.Tests.Chaos;

public sealed class FaultScheduleTests
{
    private static readonly TimeSpan TwoMinutes = TimeSpan.FromMinutes(2);

    [Fact]
    public void Create_TwoMinutesOrMore_HasEveryKindAtLeastOnce()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            foreach (var minutes in (double[])[2, 2.5, 10])
            {
                var faults = FaultSchedule.Create(seed, TimeSpan.FromMinutes(minutes), FaultKinds.All);

                Assert.Equal(FaultKinds.All, faults.Select(fault => fault.Kind).Distinct().Order());
                Assert.True(faults[^1].At < TimeSpan.FromMinutes(minutes));
            }
        }
    }

    [Fact]
    public void Create_SameSeed_IsTheSame_AnotherIsAnother()
    {
        Assert.Equal(Create(7), Create(7));
        Assert.NotEqual(Create(7), Create(8));
    }

    [Fact]
    public void Create_AnyTwo_AreApart_AndPausesAreShortOfARemoval()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var faults = FaultSchedule.Create(seed, TwoMinutes, FaultKinds.All);

            Assert.True(faults[0].At >= FaultSchedule.Quiet);
            Assert.All(faults.Zip(faults.Skip(1)), pair => Assert.True(pair.Second.At - pair.First.At >= FaultSchedule.LeastGap));
            Assert.All(faults, fault => Assert.InRange(fault.Length, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(3)));
            Assert.All(faults, fault => Assert.True(fault.TargetDraw >= 0));
        }
    }

    [Fact]
    public void Create_ShortRunOrFewKinds_StillHasSome()
    {
        Assert.Single(FaultSchedule.Create(1, TimeSpan.FromSeconds(3), FaultKinds.All));
        Assert.Empty(FaultSchedule.Create(1, TwoMinutes, []));
        Assert.All(FaultSchedule.Create(1, TwoMinutes, [FaultKind.WorkerKill]), fault => Assert.Equal(FaultKind.WorkerKill, fault.Kind));
    }

    [Fact]
    public void Parse_Names_AreReadBack_OthersAreRefused()
    {
        Assert.Equal(FaultKinds.All, FaultKinds.Parse(string.Join(", ", FaultKinds.All.Select(FaultKinds.NameOf)))!.Value);
        Assert.Equal(FaultKind.HostAndWorkerKill, Assert.Single(FaultKinds.Parse("hostAndWorkerKill")!.Value));
        Assert.Null(FaultKinds.Parse("hostKill,flood"));
        Assert.Null(FaultKinds.Parse(","));
    }

    [Fact]
    public void Possible_WithoutASecondHostOrTheRightToTrace_LeavesOutWhatNeedsThem()
    {
        Assert.Equal(FaultKinds.All, FaultInjector.Possible(FaultKinds.All, hostCount: 2, canCutTcp: true));
        Assert.DoesNotContain(FaultKind.AssociationCut, FaultInjector.Possible(FaultKinds.All, hostCount: 2, canCutTcp: false));
        Assert.DoesNotContain(FaultKind.HostKill, FaultInjector.Possible(FaultKinds.All, hostCount: 1, canCutTcp: true));
    }

    private static PlannedFault[] Create(int seed) => [.. FaultSchedule.Create(seed, TwoMinutes, FaultKinds.All)];
}
