using System.Globalization;

namespace Kvcached.Host.Gateway;

/// <summary>Where a file of tags can be opened.</summary>
/// <param name="ProcessId">Who holds it.</param>
/// <param name="Descriptor">As what.</param>
/// <param name="Inode">Which file it is, so that another one under the same number isn't taken for it.</param>
/// <param name="ByteCount">Its size.</param>
/// <param name="UserId">User of the scheduler that writes it.</param>
internal sealed record TagPlace(int ProcessId, long Descriptor, ulong Inode, ulong ByteCount, uint UserId)
{
    /// <summary>Reads what <see cref="ToString"/> wrote; null when it is something else.</summary>
    public static TagPlace? Parse(string text)
    {
        var words = text.Split(' ');
        return words.Length == 5 && int.TryParse(words[0], CultureInfo.InvariantCulture, out var process)
            && long.TryParse(words[1], CultureInfo.InvariantCulture, out var descriptor) && ulong.TryParse(words[2], CultureInfo.InvariantCulture, out var inode)
            && ulong.TryParse(words[3], CultureInfo.InvariantCulture, out var bytes) && uint.TryParse(words[4], CultureInfo.InvariantCulture, out var user)
            ? new TagPlace(process, descriptor, inode, bytes, user)
            : null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{ProcessId} {Descriptor} {Inode} {ByteCount} {UserId}");
}
