using System.Diagnostics.Metrics;
using Kvcached.Router.Models;

namespace Kvcached.Router.Traffic;

/// <summary>
/// What the router measures, for Prometheus. The label <c>model</c> is a configured model's name, or <c>(unknown)</c> for requests that name no such model: nothing
/// that a client sends becomes a label.
/// </summary>
internal sealed class RouterMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Kvcached.Router";

    /// <summary>The model of requests that name none that is configured.</summary>
    public const string UnknownModel = "(unknown)";

    private static readonly double[] LatencyBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _requests;
    private readonly Counter<long> _tokens;
    private readonly Counter<long> _untold;
    private readonly Counter<long> _retries;
    private readonly Counter<long> _sleeps;
    private readonly Counter<long> _wakes;
    private readonly Counter<long> _reloads;
    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _queueWait;
    private readonly Histogram<double> _firstToken;
    private readonly Histogram<double> _tokenGap;
    private readonly Histogram<double> _sleepTime;
    private readonly Histogram<double> _wakeTime;

    public RouterMetrics()
    {
        _requests = _meter.CreateCounter<long>("kvcached_router_requests", null, "Requests that have ended.");
        _tokens = _meter.CreateCounter<long>("kvcached_router_tokens", null, "Tokens, as answers tell them in usage.");
        _untold = _meter.CreateCounter<long>("kvcached_router_answers_without_usage", null, "Answers that told no usage.");
        _retries = _meter.CreateCounter<long>("kvcached_router_retries", null, "Requests that went to another replica, since one could not be reached.");
        _sleeps = _meter.CreateCounter<long>("kvcached_router_sleeps", null, "Attempts to put a model to sleep that reached its engines.");
        _wakes = _meter.CreateCounter<long>("kvcached_router_wakes", null, "Attempts to wake a model.");
        _reloads = _meter.CreateCounter<long>("kvcached_router_reloads", null, "Times that the file of models was read anew.");
        _duration = Seconds("kvcached_router_request", "From a request to the last byte of its answer.");
        _queueWait = Seconds("kvcached_router_queue_wait", "Of that, until the request was let in.");
        _firstToken = Seconds("kvcached_router_first_token", "From a request to the first event of a streamed answer.");
        _tokenGap = Seconds("kvcached_router_token_gap", "Between events of a streamed answer, as they pass.");
        _sleepTime = Seconds("kvcached_router_sleep", "What engines took to fall asleep.");
        _wakeTime = Seconds("kvcached_router_wake", "What engines took to wake.");
    }

    /// <summary>Shows the state of models, read when somebody looks.</summary>
    public void Observe(ModelTable table)
    {
        Gauge("kvcached_router_in_flight", "Requests with the model's engines.", facts => facts.InFlight);
        Gauge("kvcached_router_queued", "Requests that wait for the model.", facts => facts.Queued);
        Gauge("kvcached_router_healthy_replicas", "Engines of the model that are taken to be well.", facts => facts.HealthyReplicas);
        Gauge("kvcached_router_asleep", "1 while the model sleeps.", facts => facts.State == ModelState.Asleep ? 1 : 0);

        void Gauge(string name, string description, Func<ModelFacts, long> read) => _meter.CreateObservableGauge(
            name, () => table.Models.Select(model => new Measurement<long>(read(model.Gate.Facts), Model(model.Name))), null, description);
    }

    public void Ended(string model, RequestOutcome outcome, TimeSpan took)
    {
        _requests.Add(1, Model(model), new("outcome", outcome switch
        {
            RequestOutcome.Answered => "answered",
            RequestOutcome.Rejected => "rejected",
            RequestOutcome.Failed => "failed",
            RequestOutcome.Refused => "refused",
            _ => "cancelled",
        }));
        if (outcome == RequestOutcome.Answered)
        {
            _duration.Record(took.TotalSeconds, Model(model));
        }
    }

    public void LetIn(string model, TimeSpan waited) => _queueWait.Record(waited.TotalSeconds, Model(model));

    public void Retried(string model) => _retries.Add(1, Model(model));

    public void FirstToken(string model, TimeSpan after) => _firstToken.Record(after.TotalSeconds, Model(model));

    /// <param name="model">The model.</param>
    /// <param name="gap">Time since the event before.</param>
    /// <param name="count">Events that came together at its end; the time is shared out among them.</param>
    public void TokenGap(string model, TimeSpan gap, int count)
    {
        for (var index = 0; index < count; index++)
        {
            _tokenGap.Record(gap.TotalSeconds / count, Model(model));
        }
    }

    /// <param name="model">The model.</param>
    /// <param name="usage">What an answer told; null for nothing.</param>
    public void Used(string model, TokenUsage? usage)
    {
        if (usage is not { } told)
        {
            _untold.Add(1, Model(model));
            return;
        }

        _tokens.Add(told.PromptTokens, Model(model), new("direction", "in"));
        _tokens.Add(told.CompletionTokens, Model(model), new("direction", "out"));
    }

    public void FellAsleep(string model, TimeSpan took)
    {
        _sleeps.Add(1, Model(model), Result(true));
        _sleepTime.Record(took.TotalSeconds, Model(model));
    }

    public void SleepFailed(string model) => _sleeps.Add(1, Model(model), Result(false));

    public void Woke(string model, TimeSpan took)
    {
        _wakes.Add(1, Model(model), Result(true));
        _wakeTime.Record(took.TotalSeconds, Model(model));
    }

    public void WakeFailed(string model) => _wakes.Add(1, Model(model), Result(false));

    public void Reloaded(bool isTaken) => _reloads.Add(1, Result(isTaken));

    public void Dispose() => _meter.Dispose();

    private Histogram<double> Seconds(string name, string description) =>
        _meter.CreateHistogram(name, "s", description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = LatencyBounds });

    private static KeyValuePair<string, object?> Model(string name) => new("model", name);

    private static KeyValuePair<string, object?> Result(bool isGood) => new("result", isGood ? "done" : "failed");
}
