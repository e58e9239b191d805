using System.Collections.Immutable;
using System.Text.Json;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Tests.Fakes;

namespace Kvcached.TraceReplay.Tests.Reporting;

public sealed class RunSummaryTests
{
    private static readonly LedgerCheck Clean = new(Decisions: 42, DigestMismatches: 0, LeakedPages: 0, OpenPools: 0, Problem: null);

    private readonly RunPlan _plan = Given.Plan();

    [Fact]
    public void Create_GoodRun_AddsUpItsModels()
    {
        var recorder = new RunRecorder(_plan);
        recorder.Sample(TimeSpan.Zero, [new("small", [100]), new("conv", [150, 150])], [Report(0, live: 100), Report(1, live: 100)]);
        recorder.Sample(TimeSpan.FromSeconds(1), [new("conv", [50, 50]), new("another", [7])], [Report(0, live: 50), null]);

        var summary = RunSummary.Create(
            _plan, recorder,
            [Outcome(0, Report(0, peakLive: 1000, refusals: 2), [1, 2, 3]), Outcome(1, Report(1, peakLive: 500, refusals: 1), [4, 100])],
            Clean, TimeSpan.FromSeconds(7));

        Assert.True(summary.IsGood);
        Assert.Equal((6, 6, 42L, 20L, 20L), (summary.Requests, summary.Finished, summary.Decisions, summary.BlocksAllocated, summary.BlocksVerified));
        Assert.Equal((1500L, 400L, 3L), (summary.StaticBytes, summary.PeakMappedBytes, summary.Refusals));
        Assert.Equal(500.0 / 250, summary.HeldOverLiveBytesMean);
        Assert.Equal(250, summary.MeanMappedBytes);
        Assert.Equal((3.0, 100.0), (summary.MapMillisecondsP50, summary.MapMillisecondsP99));
        Assert.Equal(["conv", "small"], summary.Models.Select(m => m.Name));
    }

    [Fact]
    public void HeldOverLive_NothingEverUsed_IsZero() => Assert.Equal(0, new RunRecorder(_plan).HeldOverLiveBytesMean);

    [Fact]
    public void ToJson_HasTheNamesThatProgramsReadBy()
    {
        var summary = RunSummary.Create(_plan, new RunRecorder(_plan), [Outcome(0, Report(0)), Outcome(1, Report(1))], Clean, TimeSpan.Zero);

        var json = JsonDocument.Parse(summary.ToJson()).RootElement;

        foreach (var name in new[]
        {
            "hosts", "backend", "requests", "decisions", "blocksAllocated", "blocksVerified", "blocksFilledWhole", "corruptBlocks",
            "digestMismatches", "peakMappedBytes", "staticBytes", "heldOverLiveBytesMean", "refusals", "mapMillisecondsP50",
            "mapMillisecondsP99", "unmapMillisecondsP50", "leakedPages", "elapsedSeconds", "models",
        })
        {
            Assert.True(json.TryGetProperty(name, out _), name);
        }
    }

    public static TheoryData<string> Failures => ["unfinished", "corrupt", "unverified", "failed", "mismatch", "leak", "pool", "silent"];

    [Theory]
    [MemberData(nameof(Failures))]
    public void Create_AnythingWrong_IsNotGood(string failure)
    {
        var report = Report(0);
        report = failure switch
        {
            "unfinished" => report with { Finished = 2 },
            "corrupt" => report with { CorruptBlocks = 1 },
            "unverified" => report with { BlocksVerified = 9 },
            _ => report,
        };
        var ledger = failure switch
        {
            "mismatch" => Clean with { DigestMismatches = 1 },
            "leak" => Clean with { LeakedPages = 1 },
            "pool" => Clean with { OpenPools = 1 },
            "silent" => Clean with { Problem = "no answer" },
            _ => Clean,
        };
        var outcome = Outcome(0, report) with { Problem = failure == "failed" ? "it crashed" : null };

        var summary = RunSummary.Create(_plan, new RunRecorder(_plan), [outcome, Outcome(1, Report(1))], ledger, TimeSpan.Zero);

        Assert.False(summary.IsGood);
        Assert.Single(summary.Problems);
    }

    private EngineOutcome Outcome(int engine, EngineReport report, params ImmutableArray<double> maps) => new(_plan.Engines[engine], report, maps, [1], null);

    private EngineReport Report(int engine, long live = 0, long peakLive = 0, long refusals = 0) => new()
    {
        Name = _plan.Engines[engine].Name,
        Model = "m",
        Gpus = ["HOST-0"],
        Requests = 3,
        Finished = 3,
        BlocksAllocated = 10,
        BlocksVerified = 10,
        LiveBytesPerRank = [live],
        PeakLiveBytes = peakLive,
        Refusals = refusals,
    };
}
