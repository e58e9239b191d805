using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Tests.Traces;

public sealed class TraceReaderTests
{
    private static readonly TimeSpan Forever = TimeSpan.MaxValue;

    [Fact]
    public void Read_AzureLines_GivesArrivalsFromTheFirst()
    {
        var result = Read("2023-11-16 18:15:46.6805900,374,44", "2023-11-16 18:15:50.9951690,396,109");

        Assert.Null(result.Problem);
        Assert.Equal(
            [new TraceRequest(0, TimeSpan.Zero, 374, 44), new TraceRequest(1, TimeSpan.FromTicks(43_145_790), 396, 109)],
            result.Requests.AsEnumerable());
    }

    [Fact]
    public void Read_CarriageReturnsAndEmptyLines_AreNoProblem()
    {
        using var reader = new StringReader(TraceReader.Header + "\r\n2023-11-16 18:15:46,374,44\r\n\r\n");

        Assert.Single(TraceReader.Read(reader, "t.csv", TimeSpan.Zero, Forever).Requests);
    }

    [Fact]
    public void Read_Window_TakesItsRequestsOnlyAndRenumbersThem()
    {
        using var reader = new StringReader(string.Join('\n', TraceReader.Header,
            "2023-11-16 18:00:00,1,1", "2023-11-16 18:01:00,2,1", "2023-11-16 18:02:59.9999999,3,1", "2023-11-16 18:03:00,4,1"));

        var result = TraceReader.Read(reader, "t.csv", TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(2));

        Assert.Equal([(0, 2), (1, 3)], result.Requests.Select(r => (r.Number, r.ContextTokens)));
        Assert.Equal(TimeSpan.Zero, result.Requests[0].Arrival);
    }

    [Theory]
    [InlineData("2023-11-16 18:15:47,374", "fields")]
    [InlineData("2023-11-16 18:15:47,374,44,1", "fields")]
    [InlineData("yesterday,374,44", "time")]
    [InlineData("2023-11-16 18:15:47,,44", "context")]
    [InlineData("2023-11-16 18:15:47,0,44", "context")]
    [InlineData("2023-11-16 18:15:47,-3,44", "context")]
    [InlineData("2023-11-16 18:15:47,374,0", "generated")]
    [InlineData("2023-11-16 18:15:47,374,99999999999", "generated")]
    [InlineData("2023-11-16 18:15:45,374,44", "order")]
    public void Read_BadLine_IsRefusedWithItsNumber(string line, string named)
    {
        var result = Read("2023-11-16 18:15:46,374,44", line, "2023-11-16 18:15:48,374,44");

        Assert.Empty(result.Requests);
        Assert.Equal(3, result.Problem!.LineNumber);
        Assert.Contains(named, result.Problem.Text, StringComparison.Ordinal);
        Assert.StartsWith("t.csv, line 3: ", result.Problem.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("TIMESTAMP,ContextTokens\n")]
    public void Read_WrongHeader_IsRefused(string text)
    {
        using var reader = new StringReader(text);

        Assert.Equal(1, TraceReader.Read(reader, "t.csv", TimeSpan.Zero, Forever).Problem!.LineNumber);
    }

    [Fact]
    public void Read_EmptyTraceOrWindow_IsRefused()
    {
        Assert.Contains("no requests", Read().Problem!.Text, StringComparison.Ordinal);
        using var reader = new StringReader(TraceReader.Header + "\n2023-11-16 18:00:00,1,1");
        Assert.Contains("minutes long", TraceReader.Read(reader, "t.csv", TimeSpan.FromMinutes(9), TimeSpan.FromMinutes(1)).Problem!.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void ReadFile_Missing_SaysSo() =>
        Assert.Contains("no such trace file", TraceReader.ReadFile("/nowhere/t.csv", TimeSpan.Zero, Forever).Problem!.ToString(), StringComparison.Ordinal);

    [Theory]
    [InlineData(TraceFiles.Conversation, 19_366)]
    [InlineData(TraceFiles.Code, 8_819)]
    public void ReadFile_TracesOfTheSample_AreWhole(string name, int requestCount)
    {
        var path = TraceFiles.Find(name, AppContext.BaseDirectory);

        var result = TraceReader.ReadFile(path, TimeSpan.Zero, Forever);

        Assert.Null(result.Problem);
        Assert.Equal(requestCount, result.Requests.Length);
    }

    private static TraceResult Read(params string[] lines)
    {
        using var reader = new StringReader(string.Join('\n', [TraceReader.Header, .. lines]));
        return TraceReader.Read(reader, "t.csv", TimeSpan.Zero, Forever);
    }
}
