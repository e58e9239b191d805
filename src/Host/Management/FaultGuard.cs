namespace Kvcached.Host.Management;

/// <summary>Turns what an endpoint throws into a problem for the caller and a line for the log.</summary>
internal sealed partial class FaultGuard(RequestDelegate next, ILogger<FaultGuard> log)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: StatusCodes.Status405MethodNotAllowed or StatusCodes.Status415UnsupportedMediaType } response)
            {
                // Routing says so without a word.
                await ProblemMapping.WrongRequest(response.StatusCode, context.Request.Method, context.Request.Path).ExecuteAsync(context);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone; nobody is left to answer.
        }
        catch (BadHttpRequestException exception) when (!context.Response.HasStarted)
        {
            // Too long, too slow or cut off: the server says which.
            await ProblemMapping.BrokenRequest(exception.StatusCode, exception.Message).ExecuteAsync(context);
        }
        catch (Exception exception) when (!context.Response.HasStarted)
        {
            LogFault(context.Request.Method, context.Request.Path, exception);
            await ProblemMapping.Fault().ExecuteAsync(context);
        }
    }

    [LoggerMessage(EventIds.ManagementFault, LogLevel.Error, "{Method} {Path} failed")]
    private partial void LogFault(string method, string path, Exception exception);
}
