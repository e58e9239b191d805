using System.Buffers;
using System.Collections.Immutable;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// The file in the run directory that says which processes may hold memory of a GPU, so that a host that was killed finds them when it is started again.
/// Written whenever a worker attaches or ends or a pool passes to another owner, never when memory is mapped.
/// </summary>
/// <param name="path">Where it is, in a directory private to the user.</param>
public sealed class AttachedProcessFile(string path)
{
    private const int Magic = 0x5041_564B; // KVAP
    private const int Version = 1;

    /// <summary>Beyond this the file isn't one of ours.</summary>
    private const long MaxBytes = 64 << 20;

    // Pool, rank, owner, epoch, worker, process: more than half of what an entry takes without its specification.
    private const int LeastEntryBytes = 64;

    /// <summary>The file of a GPU in a run directory.</summary>
    public static AttachedProcessFile In(string directory, string domain, GpuId gpu) => new(Path.Combine(directory, $"attached-{domain}-{gpu}"));

    /// <summary>Writes all of them in place of what was there. Null, or why not.</summary>
    internal string? Save(ImmutableArray<AttachedProcess> processes)
    {
        var body = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(body);
        writer.WriteInt32(Magic);
        writer.WriteInt32(Version);
        writer.WriteInt32(processes.Length);
        foreach (var process in processes)
        {
            writer.WritePoolId(process.Pool);
            writer.WriteInt32(process.Rank);
            writer.WritePoolSpec(process.Spec);
            writer.WriteGuid(process.Owner.Value);
            writer.WriteEpoch(process.Epoch);
            writer.WriteGuid(process.Worker.Value);
            writer.WriteInt32(process.Process.ProcessId);
            writer.WriteInt64(process.Process.StartTicks);
            writer.WriteText(process.Process.BootId);
        }

        writer.Flush();
        try
        {
            var temporary = $"{path}.tmp";
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                file.Write(body.WrittenSpan);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"{path} can't be written: {exception.Message}";
        }
    }

    /// <summary>What was written last; nothing when there is no file.</summary>
    /// <param name="processes">The processes.</param>
    /// <returns>Null, or why it can't be read and what to do.</returns>
    internal string? Load(out ImmutableArray<AttachedProcess> processes)
    {
        processes = [];
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            if (new FileInfo(path).Length > MaxBytes)
            {
                return Unreadable("it is too long");
            }

            var reader = new WireReader(File.ReadAllBytes(path));
            if (!reader.TryReadInt32(out var magic) || magic != Magic || !reader.TryReadInt32(out var version) || version != Version)
            {
                return Unreadable("it is of another kind or version");
            }

            return TryRead(ref reader, out processes) ? null : Unreadable("it is damaged");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return Unreadable(exception.Message);
        }
    }

    private static bool TryRead(ref WireReader reader, out ImmutableArray<AttachedProcess> processes)
    {
        processes = [];
        if (!reader.TryReadCount(LeastEntryBytes, out var count))
        {
            return false;
        }

        var read = ImmutableArray.CreateBuilder<AttachedProcess>(count);
        for (var i = 0; i < count; i++)
        {
            if (!reader.TryReadPoolId(out var pool) || !reader.TryReadInt32(out var rank) || !reader.TryReadPoolSpec(out var spec)
                || !reader.TryReadGuid(out var owner) || !reader.TryReadEpoch(out var epoch) || !reader.TryReadGuid(out var worker)
                || !reader.TryReadInt32(out var processId) || !reader.TryReadInt64(out var startTicks) || !reader.TryReadText(out var bootId))
            {
                return false;
            }

            read.Add(new AttachedProcess(
                pool, rank, spec, new SessionId(owner), epoch, new WorkerIncarnation(worker), new ProcessIdentity(processId, startTicks, bootId)));
        }

        processes = read.ToImmutable();
        return true;
    }

    // To go on without it would be to lend memory that others may still write to, and to give up what they keep.
    private string Unreadable(string why) =>
        $"{path}, which says which engine workers hold memory of this GPU, can't be read: {why}. Remove it when none of them runs any more.";
}
