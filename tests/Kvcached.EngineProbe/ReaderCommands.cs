using System.Globalization;
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
        var bytes = new byte[blockBytes];
        using var files = new FilesOfProcess(process);
        foreach (var block in command.Numbers("blocks").Select(number => new BlockId(number)))
        {
            foreach (var lane in StampLane.Of(layout, 0))
            {
                var address = baseAddress + lane.OffsetOf(block);
                var map = maps.FirstOrDefault(candidate => candidate.Start <= address && address < candidate.End)
                    ?? throw new InvalidOperationException($"{block} lies in no mapped file of process {process}.");
                files.Map(map.Inode).ReadArray(map.FileOffset + (address - map.Start), bytes, 0, blockBytes);
                if (StampVerifier.Verify(bytes, key.LaneOf(block, version, lane.Layer, lane.Buffer), isWhole: true).First is { } mismatch)
                {
                    corrupt++;
                    first ??= $"{block}: {mismatch}";
                }
            }
        }

        return ProbeAnswer.Ok.With("corrupt", corrupt).With("first", first);
    }

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
