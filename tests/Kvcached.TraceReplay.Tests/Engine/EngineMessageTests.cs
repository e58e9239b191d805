using Kvcached.TraceReplay.Engine;

namespace Kvcached.TraceReplay.Tests.Engine;

public sealed class EngineMessageTests
{
    [Fact]
    public void ToLine_Summary_ComesBackWhole()
    {
        var report = new EngineReport { Name = "conv", Model = "m", Gpus = ["HOST-0"], Requests = 5, Finished = 4, MappedBytesPerRank = [3, 4], Problem = "line\nbreak" };

        var line = new EngineMessage(EngineMessage.Summary, report, [1.5, 2], [3]).ToLine();
        var read = EngineMessage.TryParse(line)!;

        Assert.DoesNotContain('\n', line);
        Assert.Equal(("conv", 5, 1, 7L, "line\nbreak"), (read.Report!.Name, read.Report.Requests, read.Report.Unfinished(), read.Report.MappedBytes(), read.Report.Problem));
        Assert.Equal([1.5, 2], read.MapMilliseconds!.Value.AsEnumerable());
        Assert.Equal([3.0], read.UnmapMilliseconds!.Value.AsEnumerable());
    }

    [Theory]
    [InlineData("")]
    [InlineData("info: something")]
    [InlineData("{not json")]
    [InlineData("{\"event\":\"other\"}")]
    [InlineData("{\"event\":\"stats\",\"report\":{\"name\":5}}")]
    public void TryParse_OtherLines_AreNotOurs(string line) => Assert.Null(EngineMessage.TryParse(line));
}
