using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Kvcached.Router.Models;

namespace Kvcached.Router.Sleeping;

/// <summary>Makes the calls of <see cref="EngineCalls"/>.</summary>
internal sealed class HttpEngineControl(HttpMessageInvoker http, TimeProvider time) : IEngineControl
{
    // Of what an engine says about its failure.
    private const int MaxToldBytes = 512;

    // An answer to a question is short.
    private const int MaxAnswerBytes = 4096;

    public Task<string?> SleepAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation) =>
        CallAllAsync(replica, EngineCalls.ToSleep(sleep), sleep.CallTimeout, cancellation);

    public async Task<string?> WakeAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation) =>
        // One that was started anew is awake, and might take a wake for a mistake.
        await IsSleepingAsync(replica, sleep, cancellation) == false ? null : await CallAllAsync(replica, EngineCalls.ToWake(sleep), sleep.CallTimeout, cancellation);

    public async Task<bool?> IsSleepingAsync(Replica replica, SleepSettings sleep, CancellationToken cancellation)
    {
        if (EngineCalls.IsSleeping(sleep) is not { } call)
        {
            return null;
        }

        var (failure, answer) = await CallAsync(replica, call, sleep.CallTimeout, cancellation);
        return failure is null ? ReadIsSleeping(answer) : null;
    }

    private async Task<string?> CallAllAsync(Replica replica, ImmutableArray<EngineCall> calls, TimeSpan timeout, CancellationToken cancellation)
    {
        foreach (var call in calls)
        {
            if ((await CallAsync(replica, call, timeout, cancellation)).Failure is { } failure)
            {
                return failure;
            }
        }

        return null;
    }

    private async Task<(string? Failure, byte[] Answer)> CallAsync(Replica replica, EngineCall call, TimeSpan timeout, CancellationToken cancellation)
    {
        var url = replica.Prefix + call.Path;
        using var overdue = new CancellationTokenSource(timeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(overdue.Token, cancellation);
        try
        {
            using var request = new HttpRequestMessage(call.Method, url);
            if (call.Json is { } json)
            {
                request.Content = new StringContent(json, Encoding.UTF8, "application/json");
            }

            using var response = await http.SendAsync(request, linked.Token);
            await using var body = await response.Content.ReadAsStreamAsync(linked.Token);
            var answer = new byte[MaxAnswerBytes];
            var count = await body.ReadAtLeastAsync(answer, answer.Length, throwOnEndOfStream: false, linked.Token);
            return response.IsSuccessStatusCode
                ? (null, answer[..count])
                : ($"{call.Method} {url} answered {(int)response.StatusCode}: {Encoding.UTF8.GetString(answer, 0, Math.Min(count, MaxToldBytes)).ReplaceLineEndings(" ")}", []);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return ($"{call.Method} {url} did not answer within {timeout.TotalSeconds:0.###} s", []);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            return ($"{call.Method} {url} failed: {exception.Message}", []);
        }
    }

    private static bool? ReadIsSleeping(byte[] answer)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("is_sleeping", out var value)
                && value.ValueKind is JsonValueKind.True or JsonValueKind.False
                ? value.GetBoolean()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
