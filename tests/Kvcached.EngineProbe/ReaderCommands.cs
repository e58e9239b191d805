using System.Globalization;
using System.IO.MemoryMappedFiles;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;

namespace Kvcached.EngineProbe;

/// <summary>
/// What a process that is no part of the engine can be told: it finds the file behind a worker's mapping, maps that file by itself, and
/// compares what it finds there.
/// </summary>
internal static class ReaderCommands
{
    public static void AddTo(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands) => commands["read-other"] = ReadOther;

    private static ProbeAnswer ReadOther(ProbeCommand command)
    {
        var process = command.Number("pid");
        var baseAddress = command.Number("base");
        var rank = (int)command.Number("rank");
        var layout = ArenaLayout.Create(ProbeGeometry.Of(command), rank);
        var key = StampKey.Of(new PoolId(command.Number("poolId")), rank, 0);
        var blockBytes = (int)layout.ShapeOf(0).BlockBytes;
        var version = (uint)command.Number("version");
        var maps = File.ReadLines($"/proc/{process}/maps").Select(MappedFile.Parse).Where(map => map.Inode != 0).ToArray();
        var corrupt = 0;
        string? first = null;
        foreach (var block in command.Numbers("blocks").Select(number => new BlockId(number)))
        {
            foreach (var lane in StampLane.Of(layout, 0))
            {
                var address = baseAddress + lane.OffsetOf(block);
                var map = maps.FirstOrDefault(candidate => candidate.Start <= address && address < candidate.End)
                    ?? throw new InvalidOperationException($"{block} lies in no mapped file of process {process}.");
                // Through a descriptor of that process; the mapping is this one's own.
                using var file = new FileStream(PathOf(process, map.Inode), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                using var mapped = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
                using var view = mapped.CreateViewStream(map.FileOffset + (address - map.Start), blockBytes, MemoryMappedFileAccess.Read);
                var bytes = new byte[blockBytes];
                view.ReadExactly(bytes);
                if (StampVerifier.Verify(bytes, key.LaneOf(block, version, lane.Layer, lane.Buffer), isWhole: true).First is { } mismatch)
                {
                    corrupt++;
                    first ??= $"{block}: {mismatch}";
                }
            }
        }

        return ProbeAnswer.Ok.With("corrupt", corrupt).With("first", first);
    }

    /// <summary>A descriptor of that process for a file without a name.</summary>
    private static string PathOf(long process, long inode) =>
        Directory.GetFiles($"/proc/{process}/fdinfo")
            .Where(path => File.ReadLines(path).Any(line => line == $"ino:\t{inode}"))
            .Select(path => $"/proc/{process}/fd/{Path.GetFileName(path)}")
            .First();

    private sealed record MappedFile(long Start, long End, long FileOffset, long Inode)
    {
        public static MappedFile Parse(string line)
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var range = words[0].Split('-');
            return new MappedFile(
                long.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), long.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                long.Parse(words[2], NumberStyles.HexNumber, CultureInfo.InvariantCulture), long.Parse(words[4], CultureInfo.InvariantCulture));
        }
    }
}
