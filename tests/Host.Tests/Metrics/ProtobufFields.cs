namespace Kvcached.Host.Tests.Metrics;

/// <summary>Reads what a test needs of Protocol Buffers' wire format: fields of a message that are messages, texts or bytes.</summary>
internal static class ProtobufFields
{
    private const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    /// <summary>The contents of all fields of that number that have a length; others of that number are left out.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Messages(ReadOnlyMemory<byte> message, int field)
    {
        while (!message.IsEmpty)
        {
            var key = Take(ref message);
            switch ((int)(key & 7))
            {
                case Varint:
                    Take(ref message);
                    break;
                case Fixed64:
                    message = message[8..];
                    break;
                case Fixed32:
                    message = message[4..];
                    break;
                case Bytes:
                    var length = (int)Take(ref message);
                    var content = message[..length];
                    message = message[length..];
                    if (key >> 3 == (ulong)field)
                    {
                        yield return content;
                    }

                    break;
                default:
                    throw new InvalidDataException($"No wire type of Protocol Buffers: {key & 7}.");
            }
        }
    }

    private static ulong Take(ref ReadOnlyMemory<byte> message)
    {
        var value = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            var next = message.Span[0];
            message = message[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }
    }
}
