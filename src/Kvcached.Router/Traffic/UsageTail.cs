using System.Text.Json;

namespace Kvcached.Router.Traffic;

/// <summary>Token counts of one answer.</summary>
internal readonly record struct TokenUsage(long PromptTokens, long CompletionTokens);

/// <summary>
/// Finds the <c>usage</c> of an answer, whole or streamed, in its last bytes: it comes last in either, and the answer itself isn't kept.
/// </summary>
internal sealed class UsageTail
{
    /// <summary>How many of the last bytes are looked at. A usage object with all its details takes some 400.</summary>
    public const int Capacity = 4096;

    private readonly byte[] _bytes = new byte[Capacity];
    private int _count;

    public void Add(ReadOnlySpan<byte> chunk)
    {
        if (chunk.Length >= Capacity)
        {
            chunk[^Capacity..].CopyTo(_bytes);
            _count = Capacity;
            return;
        }

        var kept = Math.Min(_count, Capacity - chunk.Length);
        _bytes.AsSpan(_count - kept, kept).CopyTo(_bytes);
        chunk.CopyTo(_bytes.AsSpan(kept));
        _count = kept + chunk.Length;
    }

    /// <returns>Null when the answer tells none. Within a text of the answer a quote is escaped, so that no such text is taken for it.</returns>
    public TokenUsage? Find()
    {
        var rest = _bytes.AsSpan(0, _count);
        while (rest.LastIndexOf("\"usage\""u8) is var at && at >= 0)
        {
            if (TryRead(_bytes.AsSpan(at, _count - at)["\"usage\""u8.Length..]) is { } usage)
            {
                return usage;
            }

            rest = rest[..at];
        }

        return null;
    }

    private static TokenUsage? TryRead(ReadOnlySpan<byte> text)
    {
        text = text.TrimStart(" \t\r\n"u8);
        if (text.IsEmpty || text[0] != (byte)':')
        {
            return null;
        }

        try
        {
            var reader = new Utf8JsonReader(text[1..], isFinalBlock: false, state: default);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                return null;
            }

            long prompt = 0, completion = 0;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isPrompt = reader.ValueTextEquals("prompt_tokens"u8);
                var isCompletion = reader.ValueTextEquals("completion_tokens"u8);
                if (!reader.Read())
                {
                    return null;
                }

                if (reader.TokenType == JsonTokenType.Number && (isPrompt || isCompletion) && reader.TryGetInt64(out var count) && count >= 0)
                {
                    (prompt, completion) = isPrompt ? (count, completion) : (prompt, count);
                }
                else if (!reader.TrySkip())
                {
                    return null;
                }
            }

            return reader.TokenType == JsonTokenType.EndObject ? new TokenUsage(prompt, completion) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
