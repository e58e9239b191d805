using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Kvcached.Host.Management;

/// <summary>Reads what a caller sends, or says what is wrong with it.</summary>
internal static class JsonBody
{
    /// <param name="request">The request.</param>
    /// <param name="type">What it holds.</param>
    /// <param name="whenEmpty">What an empty body means; null when there must be one.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>What was read, or the problem to answer with.</returns>
    public static async Task<(T? Value, IResult? Problem)> ReadAsync<T>(HttpRequest request, JsonTypeInfo<T> type, T? whenEmpty, CancellationToken cancellation)
        where T : class
    {
        if (whenEmpty is not null && request.ContentLength is (null or 0) && !request.Headers.ContainsKey("Transfer-Encoding"))
        {
            return (whenEmpty, null);
        }

        if (!request.HasJsonContentType())
        {
            return (null, ProblemMapping.WrongContentType("application/json"));
        }

        try
        {
            var value = await JsonSerializer.DeserializeAsync(request.Body, type, cancellation);
            return value is null ? (null, ProblemMapping.BadRequest("The body is null.")) : (value, null);
        }
        catch (JsonException exception)
        {
            return (null, ProblemMapping.BadRequest($"The body is no JSON of the expected form: {exception.Message}"));
        }
    }
}
