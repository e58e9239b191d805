using Kvcached.Router.Models;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Proxy;

/// <summary>Serves the calls that run a model: reads which one, has its gate let the request in, and forwards it.</summary>
internal sealed class InferenceEndpoint(ModelTable table, RequestForwarder forwarder, BodyBudget budget, RouterMetrics metrics, TimeProvider time)
{
    // Replicas that a request is tried at, when one after the other can't be reached.
    private const int MaxAttempts = 3;

    public async Task HandleAsync(HttpContext context)
    {
        var startedAt = time.GetTimestamp();
        using var body = await BufferedBody.ReadAsync(context.Request, budget, context.RequestAborted);
        if (body is null)
        {
            await ApiError.OutOfMemory(context);
            End(null, RequestOutcome.Refused, startedAt);
        }
        else if (RequestPeek.FindModel(body.Bytes, out var name) is { } mistake)
        {
            await ApiError.BadRequest(context, mistake);
            End(null, RequestOutcome.Rejected, startedAt);
        }
        else if (table.Find(name!) is not { } model)
        {
            await ApiError.ModelNotFound(context, name!);
            End(null, RequestOutcome.Rejected, startedAt);
        }
        else
        {
            await HandleAsync(context, body, model, startedAt);
        }
    }

    private async Task HandleAsync(HttpContext context, BufferedBody body, ServedModel model, long startedAt)
    {
        model.Traffic.Came();
        var outcome = RequestOutcome.Cancelled;
        try
        {
            outcome = await EnterAndForwardAsync(context, body, model, startedAt);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone while its request waited; nobody is left to answer.
        }
        finally
        {
            End(model, outcome, startedAt);
        }
    }

    private async Task<RequestOutcome> EnterAndForwardAsync(HttpContext context, BufferedBody body, ServedModel model, long startedAt)
    {
        for (var attempt = 1; ; attempt++)
        {
            if ((await model.Gate.EnterAsync(context.RequestAborted)).IsRefused(out var refusal, out var ticket))
            {
                await ApiError.Refused(context, model.Name, refusal);
                return RequestOutcome.Refused;
            }

            try
            {
                metrics.LetIn(model.Name, time.GetElapsedTime(startedAt));
                if (await forwarder.ForwardAsync(context, body, model.Gate.Route, ticket, startedAt) is { } outcome)
                {
                    return outcome;
                }
            }
            finally
            {
                model.Gate.Leave(ticket);
            }

            if (attempt == MaxAttempts)
            {
                await ApiError.Refused(context, model.Name, new Refusal(RefusalKind.NoReplica, ModelGate.UnreachableRetry));
                return RequestOutcome.Failed;
            }

            metrics.Retried(model.Name);
        }
    }

    private void End(ServedModel? model, RequestOutcome outcome, long startedAt)
    {
        var took = time.GetElapsedTime(startedAt);
        metrics.Ended(model?.Name ?? RouterMetrics.UnknownModel, outcome, took);
        model?.Traffic.Ended(outcome, took);
    }
}
