using Kvcached.Core.Sharing;

namespace Kvcached.Cli;

/// <summary>
/// Reads amounts as operators type them: as hosts read them, and besides as kvcached's own tool does, which takes <c>20gb</c> and <c>512mb</c> for powers of 1024 and
/// digits grouped by <c>_</c> or <c>,</c>.
/// </summary>
internal static class SizeText
{
    public const string Allowed = "a size such as 20GiB or 20g, bytes, a percentage such as 50%, or default";

    /// <exception cref="UsageException">It is no amount.</exception>
    public static MemoryAmount Read(string? text, string what)
    {
        if (text is null)
        {
            return MemoryAmount.None;
        }

        var plain = text.Trim().Replace("_", string.Empty, StringComparison.Ordinal).Replace(",", string.Empty, StringComparison.Ordinal);
        foreach (var unit in (ReadOnlySpan<string>)["tb", "gb", "mb", "kb"])
        {
            if (plain.EndsWith(unit, StringComparison.Ordinal))
            {
                plain = plain[..^1];
            }
        }

        return MemoryAmount.TryParse(plain, out var amount) ? amount : throw new UsageException($"{what} '{text}' is no amount; allowed: {Allowed}.");
    }
}
