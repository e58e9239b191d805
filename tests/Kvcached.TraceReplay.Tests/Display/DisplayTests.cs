using Kvcached.TraceReplay.Display;
using Kvcached.TraceReplay.Engine;
using Kvcached.TraceReplay.Reporting;
using Kvcached.TraceReplay.Tests.Fakes;
using Spectre.Console;

namespace Kvcached.TraceReplay.Tests.Display;

public sealed class DisplayTests
{
    [Fact]
    public void Markup_Parts_TakeTheirSharesOfTheWidth()
    {
        var bar = Bar.Markup([(25, "red"), (50, "blue")], 100, 8);

        Assert.Equal("[red]██[/][blue]████[/][grey35]░░[/]", bar);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    public void Markup_MoreThanThereIs_StaysWithinTheWidth(long total) =>
        Assert.Equal(8, Bar.Markup([(25, "red"), (500, "blue")], total, 8).Count(c => c is '█' or '░'));

    [Fact]
    public void Render_BeforeAndAfterTheFirstReports_ShowsEveryModel()
    {
        var plan = Given.Plan();
        var empty = new RunPicture(plan, 1, ["HOST-0", "HOST-1"], [null, null]);
        var report = new EngineReport
        {
            Name = "conv", Model = "m", Gpus = ["HOST-0", "HOST-1"], Requests = 3, Finished = 2, MappedBytesPerRank = [1 << 29, 1 << 29],
            LiveBytesPerRank = [1 << 28, 1 << 28], PeakMappedBytes = 1L << 30, CorruptBlocks = 7, TraceSeconds = 61,
        };
        var busy = empty with { Reports = [report, null] };

        Assert.Contains("conv", Render(empty), StringComparison.Ordinal);
        var text = Render(busy);
        Assert.Contains("512 MiB of 1 GiB", text, StringComparison.Ordinal);
        Assert.Contains("2/3", text, StringComparison.Ordinal);
        Assert.Contains("01:01", text, StringComparison.Ordinal);
        Assert.Contains("corrupt 7", PlainView.Describe(busy), StringComparison.Ordinal);
    }

    [Fact]
    public void Write_Summary_NamesEveryProblem()
    {
        var plan = Given.Plan();
        var summary = new RunSummary { Backend = "host", IsGood = false, Problems = ["3 pages [leaked]"] };

        Assert.Contains("3 pages [leaked]", Capture(console => SummaryText.Write(console, summary)), StringComparison.Ordinal);
        Assert.Contains("TP=2", Capture(console => PlanText.Write(console, plan, new(), "/tmp/x")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(80, false)]
    [InlineData(120, true)]
    public void ColumnTable_Narrow_LeavesOutWhatMattersLess(int width, bool isShown)
    {
        var table = new ColumnTable(width).Column("first").Column("second", fromWidth: 100).Column("third");
        table.Row("1", "2", "3");

        var text = Capture(console => console.Write(table.Table));

        Assert.Contains("third", text, StringComparison.Ordinal);
        Assert.Equal(isShown, text.Contains("second", StringComparison.Ordinal));
    }

    private static string Render(RunPicture picture) => Capture(console => console.Write(LiveView.Render(picture, console.Profile.Width)));

    private static string Capture(Action<IAnsiConsole> write)
    {
        using var text = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No });
        console.Profile.Width = 200;
        write(console);
        return text.ToString();
    }
}
