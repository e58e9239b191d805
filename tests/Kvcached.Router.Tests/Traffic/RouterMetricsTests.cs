using System.Globalization;
using System.Text.RegularExpressions;
using Kvcached.Router.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Kvcached.Router.Tests.Traffic;

public sealed partial class RouterMetricsTests
{
    [Fact]
    public async Task Metrics_OfTraffic_AreServedAndDocumented()
    {
        await using var engine = await FakeEngine.StartAsync();
        await using var gone = await FakeEngine.StartAsync();
        await using var rig = await RouterRig.StartAsync(
            $"models:\n{RouterRig.Entry("conv", [engine], "    sleep: {engine: kvcached, expectedWake: 0}\n")}{RouterRig.Entry("code", [gone, engine])}");
        await rig.StopHealthWatchAsync();
        await rig.AskWholeAsync("conv");
        await rig.AskWholeAsync("\\\"injected\\\"} 1");
        (await rig.Client.PostAsync("/action/sleep/conv", null)).Dispose();
        engine.Answer = async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await context.Response.Body.FlushAsync();
            await context.Response.WriteAsync("data: 2\n\n");
        };
        await rig.AskWholeAsync("conv");
        await gone.DisposeAsync();
        await rig.AskWholeAsync("code");
        await rig.AskWholeAsync("code");
        await RouterRig.UntilAsync(() => rig.Table.Models.Sum(model => model.Traffic.Summarize(60).SuccessfulRequests) == 4);

        var text = await rig.Client.GetStringAsync("/metrics");
        var values = Line().Matches(text).ToDictionary(KeyOf, line => double.Parse(line.Groups["value"].Value, CultureInfo.InvariantCulture), StringComparer.Ordinal);
        Assert.Equal(2, values["kvcached_router_requests_total{model=\"conv\",outcome=\"answered\"}"]);
        Assert.Equal(1, values["kvcached_router_requests_total{model=\"(unknown)\",outcome=\"rejected\"}"]);
        Assert.Equal(3, values["kvcached_router_tokens_total{direction=\"in\",model=\"conv\"}"]);
        Assert.Equal(5, values["kvcached_router_tokens_total{direction=\"out\",model=\"conv\"}"]);
        Assert.Equal(1, values["kvcached_router_answers_without_usage_total{model=\"conv\"}"]);
        Assert.Equal(1, values["kvcached_router_first_token_seconds_count{model=\"conv\"}"]);
        Assert.Equal(1, values["kvcached_router_wakes_total{model=\"conv\",result=\"done\"}"]);
        Assert.Equal(0, values["kvcached_router_asleep{model=\"conv\"}"]);
        Assert.Equal(1, values["kvcached_router_healthy_replicas{model=\"code\"}"]);
        Assert.Equal(1, values["kvcached_router_retries_total{model=\"code\"}"]);
        Assert.DoesNotContain("injected", text, StringComparison.Ordinal);

        var documented = Documented().Matches(await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "serving.md"))).Select(match => match.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var served = TypeLine().Matches(text).Select(match => Suffix().Replace(match.Groups[1].Value, string.Empty)).ToHashSet(StringComparer.Ordinal);
        Assert.Equal([], served.Except(documented));

        // The reload counter and a failed sleep weren't provoked here.
        Assert.Equal(["kvcached_router_reloads"], documented.Except(served).Except(["kvcached_router_token_gap"]));
    }

    // Labels in a fixed order, without those by which the exporter says of which meter a number is.
    private static string KeyOf(Match line)
    {
        var labels = Label().Matches(line.Groups["labels"].Value).Select(label => label.Value).Where(label => !label.StartsWith("otel_", StringComparison.Ordinal));
        return line.Groups["name"].Value + "{" + string.Join(',', labels.Order(StringComparer.Ordinal)) + "}";
    }

    [GeneratedRegex("""^(?<name>kvcached_router_\w+)\{(?<labels>.*)\} (?<value>[0-9.eE+-]+)( \d+)?$""", RegexOptions.Multiline)]
    private static partial Regex Line();

    [GeneratedRegex(@"\w+=""[^""]*""")]
    private static partial Regex Label();

    [GeneratedRegex("""^\| `(kvcached_router_\w+)` \|""", RegexOptions.Multiline)]
    private static partial Regex Documented();

    [GeneratedRegex("""^# TYPE (kvcached_router_\w+) """, RegexOptions.Multiline)]
    private static partial Regex TypeLine();

    [GeneratedRegex("(_seconds|_total)+$")]
    private static partial Regex Suffix();
}
