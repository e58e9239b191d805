using System.Numerics;
using System.Reflection;
using System.Text;

namespace Kvcached.Actors.Serialization;

/// <summary>
/// A number that changes with any name, field or order of the control messages and their parts. Hyperion writes fields without names,
/// so that hosts of different builds would misread each other; with the fingerprint they say so instead.
/// </summary>
internal static class ControlFingerprint
{
    public static uint Value { get; } = Compute();

    private static uint Compute()
    {
        var text = new StringBuilder();
        foreach (var type in KnownControlTypes.InOrder.Concat(ControlSurrogates.Types))
        {
            text.Append(type).Append('{');
            foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
                         .OrderBy(field => field.Name, StringComparer.Ordinal))
            {
                text.Append(field.Name).Append(':').Append(field.FieldType).Append(';');
            }

            text.Append('}');
        }

        return Checksum(Encoding.UTF8.GetBytes(text.ToString()));
    }

    /// <summary>CRC-32C. It finds damage; it doesn't keep forgers out.</summary>
    public static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BitConverter.ToUInt64(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (var value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }
}
