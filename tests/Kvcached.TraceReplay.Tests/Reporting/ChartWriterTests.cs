using System.Buffers.Binary;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Orchestration;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Tests.Fakes;

namespace Kvcached.TraceReplay.Tests.Reporting;

public sealed class ChartWriterTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kvcached-chart-").FullName;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(400)]
    public void Write_AnyNumberOfSamples_MakesAPng(int sampleCount)
    {
        var plan = Given.Plan();
        var recorder = new RunRecorder(plan);
        for (var i = 0; i < sampleCount; i++)
        {
            recorder.Sample(
                TimeSpan.FromSeconds(i * 0.25),
                [new("conv", [(200L + (i % 90)) << 20, 200L << 20]), .. i < 100 ? Array.Empty<OpenPool>() : [new("small", [(200L - (i % 70)) << 20])]],
                [Report(300), i < 100 ? null : Report(90)]);
        }

        var summary = RunSummary.Create(plan, recorder, [], new LedgerCheck(1, 0, 0, 0, null), TimeSpan.FromSeconds(1)) with { StaticBytes = 700L << 20 };
        var path = Path.Combine(_directory, "chart.png");

        ChartWriter.Write(path, recorder, summary);

        var bytes = File.ReadAllBytes(path);
        Assert.Equal([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], bytes[..8]);
        Assert.Equal((1400, 700), (BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(20))));
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static EngineReport Report(long liveMiB) => new() { Name = "e", Model = "m", Gpus = [], LiveBytesPerRank = [liveMiB << 20] };
}
