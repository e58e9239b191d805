using System.Globalization;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>
/// Keeps the epoch's counter on disk, so that it rises even when every rank has ended. The only thing about decisions that is on disk: all
/// else is rebuilt from the ranks.
/// </summary>
internal sealed class EpochStore(string directory, string domain)
{
    private readonly string _path = Path.Combine(directory, $"epoch-{domain}");

    /// <summary>
    /// Takes the next epoch, higher than the one on disk and than <paramref name="seen"/>, and writes it before anyone hears of it.
    /// </summary>
    /// <exception cref="IOException">The run directory can't be written; the message names it.</exception>
    public Epoch TakeNext(long nodeUid, Epoch seen)
    {
        var onDisk = Read();
        var next = new Epoch(Math.Max(onDisk, seen.Counter) + 1, nodeUid);
        var temporary = $"{_path}.{Environment.ProcessId}.tmp";
        using (var file = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            file.Write(System.Text.Encoding.ASCII.GetBytes(next.Counter.ToString(CultureInfo.InvariantCulture)));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, _path, overwrite: true);
        return next;
    }

    private long Read()
    {
        if (!File.Exists(_path))
        {
            return 0;
        }

        var text = File.ReadAllText(_path).Trim();
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var counter)
            ? counter
            : throw new IOException($"{_path} holds '{text}' where the number of the last epoch should be. Remove it when no host of the domain runs.");
    }
}
