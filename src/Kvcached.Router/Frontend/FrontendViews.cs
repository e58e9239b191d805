using System.Text.Json.Serialization;

namespace Kvcached.Router.Frontend;

/// <summary>What kvcached's own frontend answers, field by field, so that its clients find it here; what this router adds comes last.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HealthBody))]
[JsonSerializable(typeof(ModelHealthBody))]
[JsonSerializable(typeof(AllHealthBody))]
[JsonSerializable(typeof(ModelsBody))]
[JsonSerializable(typeof(ServerInfoBody))]
[JsonSerializable(typeof(TrafficBody))]
[JsonSerializable(typeof(ModelTrafficBody))]
[JsonSerializable(typeof(IdleModelsBody))]
[JsonSerializable(typeof(ActiveModelsBody))]
[JsonSerializable(typeof(SleepStatusBody))]
[JsonSerializable(typeof(SleepCandidatesBody))]
[JsonSerializable(typeof(SleepActionBody))]
[JsonSerializable(typeof(FrontendProblem))]
internal sealed partial class FrontendJsonContext : JsonSerializerContext;

internal sealed record HealthBody(string Status);

internal sealed record ModelHealthBody(string Model, IReadOnlyDictionary<string, bool> Health);

internal sealed record AllHealthBody(string Model, IReadOnlyDictionary<string, IReadOnlyDictionary<string, bool>> Health);

internal sealed record ModelsBody(IReadOnlyDictionary<string, ModelEndpointBody> Models);

internal sealed record ModelEndpointBody(string Endpoint, IReadOnlyList<string> Endpoints, string State, int InFlight, int Queued);

internal sealed record ServerInfoBody(string Status, string Version, int ModelCount);

/// <summary>Times in seconds; <c>last_activity_time</c> since 1970, 0 when there was none.</summary>
internal sealed record TrafficStatsBody(
    string? ModelName, long TotalRequests, long SuccessfulRequests, long FailedRequests, double RequestRate, double AvgResponseTime, double LastActivityTime,
    double IdleTimeSeconds, bool IsIdle, int InFlight, int Queued);

internal sealed record TrafficBody(IReadOnlyDictionary<string, TrafficStatsBody> TrafficStats, int WindowSeconds);

internal sealed record ModelTrafficBody(TrafficStatsBody ModelStats, int WindowSeconds);

internal sealed record IdleModelBody(double IdleTimeSeconds, long TotalRequests, double LastActivityTime);

internal sealed record IdleModelsBody(IReadOnlyList<string> IdleModels, double IdleThresholdSeconds, IReadOnlyDictionary<string, IdleModelBody> IdleModelDetails, int IdleModelsCount);

internal sealed record ActiveModelBody(double RequestRate, long TotalRequests, double AvgResponseTime, double LastActivityTime);

internal sealed record ActiveModelsBody(
    IReadOnlyList<string> ActiveModels, double IdleThresholdSeconds, int WindowSeconds, IReadOnlyDictionary<string, ActiveModelBody> ActiveModelDetails, int ActiveModelsCount);

/// <summary><c>sleep_start_time</c> in seconds since 1970.</summary>
internal sealed record SleepingModelBody(double SleepStartTime, double SleepDuration, bool ManualSleep);

internal sealed record SleepStatusBody(
    IReadOnlyDictionary<string, SleepingModelBody> SleepingModels, IReadOnlyList<string> SleepCandidates, bool AutoSleepEnabled, double IdleThresholdSeconds, bool WakeupOnRequest);

internal sealed record SleepCandidateBody(double IdleTimeSeconds, long TotalRequests, double LastActivityTime, bool CanSleep);

internal sealed record SleepCandidatesBody(
    IReadOnlyList<string> SleepCandidates, IReadOnlyDictionary<string, SleepCandidateBody> CandidateDetails, double IdleThresholdSeconds, bool AutoSleepEnabled);

internal sealed record SleepActionBody(string ModelName, bool Success, string Message);

/// <summary>A problem of RFC 9457, with kvcached's <c>error</c> beside it.</summary>
internal sealed record FrontendProblem(string Type, string Title, int Status, string Detail, string Error);
