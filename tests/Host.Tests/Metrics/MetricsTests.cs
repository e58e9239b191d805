using System.Diagnostics.Metrics;
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

    private static IEnumerable<(string Name, string Kind, string Unit, string Labels)> ReadDocument()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Kvcached.sln")))
        {
            directory = directory.Parent!;
        }

        return Row().Matches(File.ReadAllText(Path.Combine(directory.FullName, "docs", "metrics.md")))
            .Select(row => (row.Groups[1].Value, row.Groups[2].Value.Trim(), row.Groups[3].Value.Trim(), row.Groups[4].Value.Trim()));
    }

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
}
