using System.Numerics;
using System.Runtime.InteropServices;

namespace Kvcached.Core.Ids;

/// <summary>
/// Names one GPU by its UUID as the driver prints it (<c>GPU-…</c>), never by its ordinal, which
/// <c>CUDA_VISIBLE_DEVICES</c> renumbers. A host that lends memory without a GPU has an id <c>HOST-n</c>.
/// </summary>
public readonly record struct GpuId : IComparable<GpuId>
{
    /// <summary>Longest accepted id, in characters.</summary>
    public const int MaxLength = 64;

    private readonly string? _value;

    private GpuId(string value) => _value = value;

    /// <summary>The id as text; empty for the default value.</summary>
    public string Value => _value ?? string.Empty;

    /// <summary>True for ids of hosts that lend main memory because they have no GPU.</summary>
    public bool IsHostMemory => Value.StartsWith("HOST-", StringComparison.Ordinal);

    /// <summary>Reads an id; letters, digits and dashes, at most <see cref="MaxLength"/> characters.</summary>
    public static bool TryParse(string? text, out GpuId id)
    {
        id = default;
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength)
        {
            return false;
        }

        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '-')
            {
                return false;
            }
        }

        id = new GpuId(text);
        return true;
    }

    /// <summary>Reads an id that is known to be well formed.</summary>
    /// <exception cref="FormatException">The text is no id.</exception>
    public static GpuId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"'{text}' is no GPU id: letters, digits and dashes, at most {MaxLength} characters.");

    /// <summary>Ordinal order of the text: the fixed order in which GPUs are reserved.</summary>
    public int CompareTo(GpuId other) => string.CompareOrdinal(Value, other.Value);

    /// <summary>
    /// Much cheaper than a text's own, which guards against ids chosen to collide: these are the driver's, and every message of a rank is
    /// looked up by one.
    /// </summary>
    public override int GetHashCode()
    {
        var hash = 0UL;
        var words = MemoryMarshal.Cast<char, ulong>(Value.AsSpan());
        foreach (var word in words)
        {
            hash = (BitOperations.RotateLeft(hash, 23) ^ word) * 0x9E37_79B9_7F4A_7C15;
        }

        foreach (var rest in Value.AsSpan(words.Length * 4))
        {
            hash = (BitOperations.RotateLeft(hash, 23) ^ rest) * 0x9E37_79B9_7F4A_7C15;
        }

        return (int)(hash >> 32);
    }

    public static bool operator <(GpuId left, GpuId right) => left.CompareTo(right) < 0;

    public static bool operator >(GpuId left, GpuId right) => left.CompareTo(right) > 0;

    public static bool operator <=(GpuId left, GpuId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(GpuId left, GpuId right) => left.CompareTo(right) >= 0;

    public override string ToString() => Value.Length == 0 ? "gpu-?" : Value;
}
