using Akka.Cluster;

namespace Kvcached.Host.Peers;

/// <summary>
/// The hosts of a domain on one machine say in their run directory which process has which address in the cluster, so that each can watch the others for
/// their end. A note that is missing or wrong costs speed, never safety: it is believed only when the process is the very one that it names.
/// </summary>
/// <param name="directory">The directory, in one that is private to the hosts' user.</param>
internal sealed class PeerNotes(string directory)
{
    /// <summary>Where a domain's hosts say it.</summary>
    public static PeerNotes In(string runDirectory, string domain) => new(Path.Combine(runDirectory, $"peers@{domain}"));

    /// <summary>Says that this process has that address. Null, or why it could not.</summary>
    public string? Write(UniqueAddress self) => Try(() =>
    {
        Directory.CreateDirectory(directory);
        Sweep();
        var path = PathOf(self);
        var draft = $"{path}.{Environment.ProcessId}";
        File.WriteAllText(draft, PeerNote.OfThisProcess(self.Uid).ToString());
        File.Move(draft, path, overwrite: true);
    });

    /// <summary>The note of that very actor system; null when there is none.</summary>
    public PeerNote? Read(UniqueAddress peer) => Read(PathOf(peer)) is { } note && note.Uid == peer.Uid ? note : null;

    /// <summary>Takes the note of that very actor system away.</summary>
    public void Delete(UniqueAddress peer)
    {
        if (Read(peer) is not null)
        {
            _ = Try(() => File.Delete(PathOf(peer)));
        }
    }

    private static PeerNote? Read(string path)
    {
        PeerNote? note = null;
        _ = Try(() => note = PeerNote.Parse(File.ReadAllText(path)));
        return note;
    }

    // Hosts that were all killed at once left theirs.
    private void Sweep()
    {
        foreach (var path in Directory.EnumerateFiles(directory).Where(path => Read(path) is { IsVisible: true, IsAlive: false }))
        {
            File.Delete(path);
        }
    }

    private string PathOf(UniqueAddress peer) => Path.Combine(directory, $"{peer.Address.Host}_{peer.Address.Port}".Replace(':', '_').Replace('/', '_'));

    private static string? Try(Action access)
    {
        try
        {
            access();
            return null;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return problem.Message;
        }
    }
}
