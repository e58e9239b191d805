using System.Text.Json;

namespace Kvcached.Router.Proxy;

/// <summary>What the router reads of a request's body: which model, and that it is one JSON object that every reader understands alike.</summary>
internal static class RequestPeek
{
    private static readonly JsonReaderOptions Options = new() { MaxDepth = 128 };

    /// <summary>Reads a whole body.</summary>
    /// <param name="json">UTF-8.</param>
    /// <param name="model">The model that it names; null when there is an error.</param>
    /// <returns>What is wrong, for the client; null for nothing.</returns>
    public static string? FindModel(ReadOnlySpan<byte> json, out string? model)
    {
        model = null;
        string? found = null;
        try
        {
            var reader = new Utf8JsonReader(json, Options);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                return "The body must be a JSON object.";
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isModel = reader.ValueTextEquals("model"u8);
                reader.Read();
                if (!isModel)
                {
                    reader.Skip();
                    continue;
                }

                // An engine might go by the other one.
                if (found is not null)
                {
                    return "The body names 'model' more than once.";
                }

                if (reader.TokenType != JsonTokenType.String || reader.GetString() is not { Length: > 0 } name)
                {
                    return "'model' must be a string that isn't empty.";
                }

                found = name;
            }

            // Nothing but white space may follow.
            reader.Read();
            model = found;
            return model is null ? "'model' is missing: name one of GET /v1/models." : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return $"The body is not valid JSON: {exception.Message}";
        }
    }
}
