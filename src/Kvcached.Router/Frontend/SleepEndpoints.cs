using Kvcached.Router.Models;
using Kvcached.Router.Sleeping;

namespace Kvcached.Router.Frontend;

/// <summary>What kvcached's frontend tells of sleep, and its two actions. An ordered sleep waits for requests in flight; requests that come meanwhile wait, and wake the model.</summary>
internal sealed class SleepEndpoints(ModelTable table, ModelSleeper sleeper, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly HashSet<string> _ordered = new(StringComparer.Ordinal);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/sleep/status", ReadStatus);
        routes.MapGet("/sleep/candidates", ReadCandidates);
        routes.MapPost("/action/sleep/{**model}", SleepAsync);
        routes.MapPost("/action/wakeup/{**model}", WakeAsync);
    }

    private bool IsAutomatic => table.Models.Any(model => model.Gate.Route.Sleep is { IdleAfter: not null } or { Schedule.IsEmpty: false });

    // Of models that sleep by themselves, the first to do so; kvcached has one threshold for all.
    private double ThresholdSeconds =>
        table.Models.Select(model => model.Gate.Route.Sleep.IdleAfter).OfType<TimeSpan>().DefaultIfEmpty(TimeSpan.FromSeconds(StatusEndpoints.DefaultIdleSeconds)).Min().TotalSeconds;

    private IResult ReadStatus()
    {
        var now = time.GetUtcNow();
        var sleeping = table.Models.Select(model => (model.Name, model.Gate.Facts)).Where(model => model.Facts.State == ModelState.Asleep).ToArray();
        lock (_gate)
        {
            _ordered.IntersectWith(sleeping.Select(model => model.Name));
            return Results.Json(
                new SleepStatusBody(
                    sleeping.ToDictionary(
                        model => model.Name,
                        model => new SleepingModelBody(StatusEndpoints.UnixSeconds(now - model.Facts.InState), model.Facts.InState.TotalSeconds, _ordered.Contains(model.Name))),
                    [.. Candidates().Select(model => model.Name)], IsAutomatic, ThresholdSeconds, WakeupOnRequest: true),
                FrontendJsonContext.Default.SleepStatusBody);
        }
    }

    private IResult ReadCandidates()
    {
        var candidates = Candidates().ToArray();
        return Results.Json(
            new SleepCandidatesBody(
                [.. candidates.Select(model => model.Name)],
                candidates.ToDictionary(
                    model => model.Name,
                    model =>
                    {
                        var summary = model.Traffic.Summarize(1);
                        return new SleepCandidateBody(
                            model.Gate.Facts.Idle.TotalSeconds, summary.TotalRequests, StatusEndpoints.UnixSeconds(summary.LastActivity), model.Gate.Route.Sleep.IsPossible);
                    }),
                ThresholdSeconds, IsAutomatic),
            FrontendJsonContext.Default.SleepCandidatesBody);
    }

    private async Task<IResult> SleepAsync(string model)
    {
        if (table.Find(StatusEndpoints.NameIn(model)) is not { } served)
        {
            return FrontendProblems.ModelNotFound(StatusEndpoints.NameIn(model));
        }

        var outcome = await sleeper.SleepAsync(served.Gate, isInterruptible: false);
        if (outcome == SleepOutcome.Asleep)
        {
            lock (_gate)
            {
                _ordered.Add(served.Name);
            }
        }

        return Answer(served.Name, outcome == SleepOutcome.Asleep, outcome switch
        {
            SleepOutcome.Asleep => $"Model {served.Name} sleep request successful",
            SleepOutcome.NotAwake => $"Model {served.Name} is not awake",
            SleepOutcome.Impossible => $"Model {served.Name} has no sleep section in the file of models, so that it can't sleep",
            SleepOutcome.NotDrained => $"Model {served.Name} stays awake: requests didn't end in time",
            SleepOutcome.EngineFailed => $"Model {served.Name} stays awake: an engine didn't fall asleep; the router's log says why",
            _ => $"Model {served.Name} stays awake: a request came meanwhile",
        });
    }

    private async Task<IResult> WakeAsync(string model, HttpContext context)
    {
        if (table.Find(StatusEndpoints.NameIn(model)) is not { } served)
        {
            return FrontendProblems.ModelNotFound(StatusEndpoints.NameIn(model));
        }

        if (served.Gate.Facts.State is not (ModelState.Asleep or ModelState.Waking))
        {
            return Answer(served.Name, false, $"Model {served.Name} is not sleeping");
        }

        var isAwake = await served.Gate.WakeAsync().WaitAsync(context.RequestAborted);
        return Answer(served.Name, isAwake, isAwake ? $"Model {served.Name} wake request successful" : $"Model {served.Name} could not be woken; the router's log says why");
    }

    private IEnumerable<ServedModel> Candidates() => table.Models.Where(model =>
        model.Gate.Facts is { State: ModelState.Awake } facts && facts.Idle.TotalSeconds > (model.Gate.Route.Sleep.IdleAfter?.TotalSeconds ?? ThresholdSeconds));

    private static IResult Answer(string model, bool isDone, string message) => Results.Json(
        new SleepActionBody(model, isDone, message), FrontendJsonContext.Default.SleepActionBody, statusCode: isDone ? StatusCodes.Status200OK : StatusCodes.Status409Conflict);
}
