using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Kvcached.Actors.Telemetry;
using Kvcached.Host.Metrics;
using Kvcached.Host.Tests.Support;

namespace Kvcached.Host.Tests.Metrics;

/// <summary>What <c>docs/metrics.md</c> says, what the meter has, and what is scraped are the same.</summary>
public sealed partial class MetricsTests(HostWithPool fixture) : IClassFixture<HostWithPool>
{
    [Fact]
    public void Document_AndMeter_NameTheSameInstruments()
    {
        var instruments = new List<string>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name == KvcachedMeter.Name)
                {
                    instruments.Add($"{instrument.Name} {KindOf(instrument)} {UnitOf(instrument)}".TrimEnd());
                }
            },
        };

        // Only what it is made of is looked at; nothing is read.
        using var metrics = new HostMetrics(null!, null!, null!);
        _ = KvcachedMeter.Decisions;
        listener.Start();

        Assert.Equal(ReadDocument().Select(row => $"{row.Name} {row.Kind} {row.Unit}".TrimEnd()).Order(StringComparer.Ordinal), instruments.Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Scrape_OfAHostWithAPool_HasEverySeriesThatIsDocumented()
    {
        await fixture.Host.Http.GetStringAsync("/metrics");
        var scraped = await fixture.Host.Http.GetStringAsync("/metrics");
        foreach (var (name, kind, unit, labels) in ReadDocument())
        {
            // Absent without a GPU, and before anything was decided.
            if (kind == "gauge" && !name.StartsWith("kvcached_device_", StringComparison.Ordinal))
            {
                Assert.Contains($"\n{name}{(unit.Length > 0 ? $"_{unit}" : "")}", scraped, StringComparison.Ordinal);
            }

            if (labels == "gpu, pool")
            {
                Assert.Matches($$"""\n{{name}}_bytes\{[^}]*gpu="HOST-0"[^}]*pool="conv"[^}]*\} \d""", scraped);
            }
        }

        Assert.Contains("kvcached_coordinator_starts_total", scraped, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Scrape_ByAForeignHostName_IsRefused()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        request.Headers.Host = "evil.example";
        using var response = await fixture.Host.Http.SendAsync(request);
        Assert.Equal(System.Net.HttpStatusCode.MisdirectedRequest, response.StatusCode);
    }

    [Fact]
    public void Grafana_Dashboard_AsksForSeriesAndLabelsThatThereAre()
    {
        var series = ReadDocument().ToDictionary(row => SeriesOf(row.Name, row.Kind, row.Unit), row => row.Labels.Split(", ", StringSplitOptions.RemoveEmptyEntries));
        var expressions = ExpressionsIn(JsonDocument.Parse(RepositoryFiles.Read("samples", "grafana", "kvcached.json")).RootElement).ToArray();
        Assert.NotEmpty(expressions);
        foreach (var expression in expressions)
        {
            foreach (Match asked in Asked().Matches(expression))
            {
                Assert.True(series.TryGetValue(asked.Groups[1].Value, out var labels), $"There is no {asked.Groups[1].Value}, for which the dashboard asks: {expression}");
                Assert.All(Label().Matches(asked.Groups[2].Value).Select(label => label.Groups[1].Value), label => Assert.Contains(label, labels));
            }
        }

        // And nothing to alert on is left out of it.
        Assert.Contains(expressions, expression => expression.Contains("kvcached_device_short", StringComparison.Ordinal));
        Assert.Contains(expressions, expression => expression.Contains("kvcached_gpu_quarantined_bytes", StringComparison.Ordinal));
    }

    private static string SeriesOf(string name, string kind, string unit) => kind switch
    {
        "counter" => $"{name}_total",
        "histogram" => $"{name}_{unit}_bucket",
        _ => unit.Length == 0 ? name : $"{name}_{unit}",
    };

    private static IEnumerable<string> ExpressionsIn(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property => property is { Name: "expr" or "query", Value.ValueKind: JsonValueKind.String }
            ? [property.Value.GetString()!]
            : ExpressionsIn(property.Value)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(ExpressionsIn),
        _ => [],
    };

    private static IEnumerable<(string Name, string Kind, string Unit, string Labels)> ReadDocument() =>
        Row().Matches(RepositoryFiles.Read("docs", "metrics.md")).Select(row => (row.Groups[1].Value, row.Groups[2].Value.Trim(), row.Groups[3].Value.Trim(), row.Groups[4].Value.Trim()));

    private static string KindOf(Instrument instrument) => instrument switch
    {
        Counter<long> => "counter",
        ObservableGauge<long> => "gauge",
        Histogram<double> => "histogram",
        _ => instrument.GetType().Name,
    };

    private static string UnitOf(Instrument instrument) => instrument.Unit switch
    {
        "By" => "bytes",
        "s" => "seconds",
        null => string.Empty,
        var other => other,
    };

    [GeneratedRegex(@"^\| `(kvcached_\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex(@"(kvcached_\w+)(\{[^}]*\})?")]
    private static partial Regex Asked();

    [GeneratedRegex(@"(\w+)\s*=~?")]
    private static partial Regex Label();
}
