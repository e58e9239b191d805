using System.Collections.Immutable;

namespace Kvcached.Router.Models;

/// <summary>One model as the configuration describes it.</summary>
/// <param name="Name">What requests call it.</param>
/// <param name="Aliases">Other names for it.</param>
/// <param name="Replicas">Base addresses of the engines that serve it, at least one.</param>
/// <param name="MaxInFlight">Requests that one replica is given at a time, 1 and more. Default 256.</param>
/// <param name="MaxQueued">Requests that may wait for a replica or a wake, 0 and more. Default 1024.</param>
/// <param name="QueueDeadline">How long one may wait. Default 30 s.</param>
/// <param name="ActivityTimeout">How long an engine may say nothing while it works on a request. Default 10 min.</param>
/// <param name="HealthPath">Path that an engine answers with 200 while it is well. Default /health.</param>
/// <param name="Sleep">When and how it is put to sleep.</param>
internal sealed record ModelRoute(
    string Name,
    ImmutableArray<string> Aliases,
    ImmutableArray<Uri> Replicas,
    int MaxInFlight,
    int MaxQueued,
    TimeSpan QueueDeadline,
    TimeSpan ActivityTimeout,
    string HealthPath,
    SleepSettings Sleep);

/// <summary>Which engine a model runs on, as far as sleeping is concerned: each is asked in its own way.</summary>
internal enum EngineKind
{
    /// <summary>One that can't be put to sleep.</summary>
    Other,

    Vllm,
    Sglang,

    /// <summary>One that speaks the calls of <c>samples/serving</c>.</summary>
    Kvcached,
}

/// <summary>What becomes of a sleeping model's KV data.</summary>
internal enum KvWhileAsleep
{
    /// <summary>It is given up.</summary>
    Drop,

    /// <summary>It is kept in main memory.</summary>
    Host,
}

/// <summary>What becomes of a sleeping model's weights.</summary>
internal enum WeightsWhileAsleep
{
    /// <summary>They stay on the GPU.</summary>
    Keep,

    /// <summary>The engine moves them to main memory.</summary>
    EngineLevel1,

    /// <summary>The engine drops them and loads them again.</summary>
    EngineLevel2,
}

/// <summary>When a model is put to sleep and how.</summary>
/// <param name="Engine">Whose calls are used.</param>
/// <param name="IdleAfter">Idle time after which it sleeps; null for never by itself.</param>
/// <param name="MinimumAwake">How long it stays awake at least, once awake. Default 60 s.</param>
/// <param name="Schedule">Times of the day, UTC, in which it sleeps as soon as it is idle.</param>
/// <param name="Kv">What becomes of its KV data.</param>
/// <param name="Weights">What becomes of its weights.</param>
/// <param name="DrainDeadline">How long requests in flight may take to end before the attempt is given up. Default 60 s.</param>
/// <param name="CallTimeout">How long one call of an engine may take. Default 120 s.</param>
/// <param name="ExpectedWake">What a wake is believed to take until one was measured. Default 5 s.</param>
/// <param name="ModelPath">What SGLang loads weights from again at level 2.</param>
internal sealed record SleepSettings(
    EngineKind Engine,
    TimeSpan? IdleAfter,
    TimeSpan MinimumAwake,
    ImmutableArray<DailySpan> Schedule,
    KvWhileAsleep Kv,
    WeightsWhileAsleep Weights,
    TimeSpan DrainDeadline,
    TimeSpan CallTimeout,
    TimeSpan ExpectedWake,
    string? ModelPath)
{
    /// <summary>Whether the engine can be put to sleep at all.</summary>
    public bool IsPossible => Engine != EngineKind.Other;
}

/// <summary>A span of the day, UTC; it may pass midnight.</summary>
internal readonly record struct DailySpan(TimeOnly From, TimeOnly Until)
{
    public bool Contains(TimeOnly time) => time.IsBetween(From, Until);
}
