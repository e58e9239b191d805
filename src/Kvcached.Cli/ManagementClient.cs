using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kvcached.Core.Contracts;

namespace Kvcached.Cli;

/// <summary>Reads a host's management HTTP.</summary>
internal sealed class ManagementClient(Uri url) : IDisposable
{
    // Longer than a host waits for its coordinator by default, so that its answer is told, not our own impatience.
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http = new() { BaseAddress = url, Timeout = Timeout };

    /// <exception cref="HostUnreachableException">No host answered in time.</exception>
    /// <exception cref="HostRefusedException">The host answered with a problem.</exception>
    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        try
        {
            using var response = await _http.GetAsync(new Uri(path, UriKind.Relative), cancellation);
            if (!response.IsSuccessStatusCode)
            {
                throw new HostRefusedException(await ExplainAsync(response, cancellation));
            }

            return await response.Content.ReadFromJsonAsync(type, cancellation)
                ?? throw new JsonException("the answer is empty");
        }
        catch (HttpRequestException exception)
        {
            throw new HostUnreachableException($"no host answers at {url}: {exception.Message.TrimEnd('.')}. Start one, or name another with --url.", exception);
        }
        catch (TaskCanceledException exception) when (!cancellation.IsCancellationRequested)
        {
            throw new HostUnreachableException($"the host at {url} did not answer within {Timeout.TotalSeconds} s.", exception);
        }
        catch (JsonException exception)
        {
            throw new HostUnreachableException($"what answers at {url} is no Kvcached host: {exception.Message}", exception);
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<string> ExplainAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            var problem = await response.Content.ReadFromJsonAsync(ManagementJsonContext.Default.ProblemView, cancellation);
            return $"{problem!.Title}: {problem.Detail}";
        }
        catch (JsonException)
        {
            return $"the host at {url} answered {(int)response.StatusCode} {response.ReasonPhrase}";
        }
    }
}
