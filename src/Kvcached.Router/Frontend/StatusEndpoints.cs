using System.Globalization;
using System.Reflection;
using Kvcached.Router.Models;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Frontend;

/// <summary>What kvcached's frontend tells of health and traffic. Every configured model is told, also one that nobody has asked yet.</summary>
internal sealed class StatusEndpoints(ModelTable table)
{
    /// <summary>Idle time after which kvcached's frontend calls a model idle, in seconds.</summary>
    public const int DefaultIdleSeconds = 300;

    private const int DefaultWindowSeconds = 60;
    private const int MaxThresholdSeconds = 1_000_000_000;

    private static readonly string Version =
        (Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0").Split('+')[0];

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/health", () => Results.Json(new HealthBody("healthy"), FrontendJsonContext.Default.HealthBody));
        routes.MapGet("/health/{**model}", ReadHealth);
        routes.MapGet("/models", ReadModels);
        routes.MapGet("/models/idle", ReadIdle);
        routes.MapGet("/models/active", ReadActive);
        routes.MapGet("/get_server_info", () => Results.Json(new ServerInfoBody("ok", Version, table.Models.Length), FrontendJsonContext.Default.ServerInfoBody));
        routes.MapGet("/traffic/stats", ReadTraffic);
        routes.MapGet("/traffic/stats/{**model}", ReadModelTraffic);
    }

    /// <summary>The name in a path: a slash in it is escaped by some clients, and not by others.</summary>
    public static string NameIn(string path) => Uri.UnescapeDataString(path);

    public static double UnixSeconds(DateTimeOffset? time) => time is { } known ? known.ToUnixTimeMilliseconds() / 1000.0 : 0;

    private static Dictionary<string, bool> HealthOf(ServedModel model) =>
        model.Gate.Replicas.ToDictionary(replica => replica.Prefix, replica => replica.IsHealthy, StringComparer.Ordinal);

    private static TrafficStatsBody StatsOf(ServedModel model, int windowSeconds, string? name)
    {
        var summary = model.Traffic.Summarize(windowSeconds);
        var facts = model.Gate.Facts;
        return new TrafficStatsBody(
            name, summary.TotalRequests, summary.SuccessfulRequests, summary.FailedRequests, summary.RequestRate, summary.AverageResponseSeconds, UnixSeconds(summary.LastActivity),
            facts.Idle.TotalSeconds, facts.Idle.TotalSeconds > DefaultIdleSeconds, facts.InFlight, facts.Queued);
    }

    // Null for a number that isn't one.
    private static int? ReadNumber(HttpRequest request, string name, int fallback, int max) => request.Query[name].ToString() switch
    {
        "" => fallback,
        var text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= max => number,
        _ => null,
    };

    private IResult ReadHealth(string model)
    {
        if (model == "all")
        {
            var all = table.Models.ToDictionary(each => each.Name, each => (IReadOnlyDictionary<string, bool>)HealthOf(each), StringComparer.Ordinal);
            return Results.Json(new AllHealthBody(model, all), FrontendJsonContext.Default.AllHealthBody);
        }

        return table.Find(NameIn(model)) is { } served
            ? Results.Json(new ModelHealthBody(served.Name, HealthOf(served)), FrontendJsonContext.Default.ModelHealthBody)
            : FrontendProblems.ModelNotFound(NameIn(model));
    }

    private IResult ReadModels() => Results.Json(
        new ModelsBody(table.Models.ToDictionary(
            model => model.Name,
            model =>
            {
                var (endpoints, facts) = (model.Gate.Replicas.Select(replica => replica.Prefix).ToArray(), model.Gate.Facts);
                return new ModelEndpointBody(endpoints[0], endpoints, StateWord(facts.State), facts.InFlight, facts.Queued);
            },
            StringComparer.Ordinal)),
        FrontendJsonContext.Default.ModelsBody);

    private IResult ReadTraffic(HttpRequest request) => ReadNumber(request, "window", DefaultWindowSeconds, RateWindow.MaxSeconds) is { } window
        ? Results.Json(
            new TrafficBody(table.Models.ToDictionary(model => model.Name, model => StatsOf(model, window, null), StringComparer.Ordinal), window),
            FrontendJsonContext.Default.TrafficBody)
        : FrontendProblems.BadNumber("window", 1, RateWindow.MaxSeconds);

    private IResult ReadModelTraffic(string model, HttpRequest request)
    {
        if (ReadNumber(request, "window", DefaultWindowSeconds, RateWindow.MaxSeconds) is not { } window)
        {
            return FrontendProblems.BadNumber("window", 1, RateWindow.MaxSeconds);
        }

        return table.Find(NameIn(model)) is { } served
            ? Results.Json(new ModelTrafficBody(StatsOf(served, window, served.Name), window), FrontendJsonContext.Default.ModelTrafficBody)
            : FrontendProblems.ModelNotFound(NameIn(model));
    }

    private IResult ReadIdle(HttpRequest request)
    {
        if (ReadNumber(request, "threshold", DefaultIdleSeconds, MaxThresholdSeconds) is not { } threshold)
        {
            return FrontendProblems.BadNumber("threshold", 1, MaxThresholdSeconds);
        }

        var idle = table.Models.Select(model => (model.Name, Stats: StatsOf(model, DefaultWindowSeconds, null))).Where(model => model.Stats.IdleTimeSeconds > threshold).ToArray();
        return Results.Json(
            new IdleModelsBody(
                [.. idle.Select(model => model.Name)], threshold,
                idle.ToDictionary(model => model.Name, model => new IdleModelBody(model.Stats.IdleTimeSeconds, model.Stats.TotalRequests, model.Stats.LastActivityTime)), idle.Length),
            FrontendJsonContext.Default.IdleModelsBody);
    }

    private IResult ReadActive(HttpRequest request)
    {
        if (ReadNumber(request, "threshold", DefaultIdleSeconds, MaxThresholdSeconds) is not { } threshold)
        {
            return FrontendProblems.BadNumber("threshold", 1, MaxThresholdSeconds);
        }

        if (ReadNumber(request, "window", DefaultWindowSeconds, RateWindow.MaxSeconds) is not { } window)
        {
            return FrontendProblems.BadNumber("window", 1, RateWindow.MaxSeconds);
        }

        var active = table.Models.Select(model => (model.Name, Stats: StatsOf(model, window, null))).Where(model => model.Stats.IdleTimeSeconds <= threshold).ToArray();
        return Results.Json(
            new ActiveModelsBody(
                [.. active.Select(model => model.Name)], threshold, window,
                active.ToDictionary(
                    model => model.Name,
                    model => new ActiveModelBody(model.Stats.RequestRate, model.Stats.TotalRequests, model.Stats.AvgResponseTime, model.Stats.LastActivityTime)),
                active.Length),
            FrontendJsonContext.Default.ActiveModelsBody);
    }

    private static string StateWord(ModelState state) => state switch
    {
        ModelState.Awake => "awake",
        ModelState.Draining => "draining",
        ModelState.FallingAsleep => "falling-asleep",
        ModelState.Asleep => "asleep",
        ModelState.Waking => "waking",
        _ => "removed",
    };
}
