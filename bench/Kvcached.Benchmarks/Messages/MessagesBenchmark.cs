using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Serialization;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Benchmarks.Messages;

/// <summary>What it costs to write and to read the messages of a map, and how long they are; without the envelope that Akka adds.</summary>
internal static class MessagesBenchmark
{
    private const string Help = """
        messages: nanoseconds to write and to read each message of a map and an unmap, and its bytes.
          --operations N  of each message and round, 1000 to 100000000 (default 300000)
          --json FILE     write the figures there
        """;

    private const int RoundCount = 9;

    public static int Run(string[] args)
    {
        if (Arguments.Parse(args, Help) is not { } arguments)
        {
            return 2;
        }

        var operations = arguments.Number("--operations", 300_000, 1_000, 100_000_000);
        var json = arguments.Text("--json", string.Empty);
        arguments.RequireAllRead();
        using var system = ActorSystem.Create("bench", "akka.loglevel = WARNING, akka.stdout-loglevel = WARNING");
        var serializer = new HotPathSerializer((ExtendedActorSystem)system);
        Console.WriteLine($"ns: median (best, worst) of {RoundCount} rounds; load {ResultFile.LoadAverage()}");
        Console.WriteLine($"{"message",-32} {"bytes",6} {"write",18} {"read",18}");
        var results = Messages().Select(m => Measure(serializer, m.Name, m.Message, operations)).ToArray();
        ResultFile.Write(json, "messages", new { operations }, results);
        return 0;
    }

    private static Result Measure(HotPathSerializer serializer, string name, object message, int operations)
    {
        var bytes = serializer.ToBinary(message);
        var manifest = serializer.Manifest(message);
        var write = Time(operations, () => serializer.ToBinary(message));
        var read = Time(operations, () => serializer.FromBinary(bytes, manifest));
        Console.WriteLine($"{name,-32} {bytes.Length,6} {Text(write),18} {Text(read),18}");
        return new Result(name, bytes.Length, write, read);
    }

    private static Summary Time(int operations, Func<object> operation)
    {
        var rounds = new Samples();
        for (var round = -2; round < RoundCount; round++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < operations; i++)
            {
                operation();
            }

            if (round >= 0)
            {
                rounds.Add(Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations);
            }
        }

        return rounds.Summarize();
    }

    private static IEnumerable<(string Name, object Message)> Messages()
    {
        var session = SessionId.New();
        var (request, acked, pool) = (new RequestId(1_001), new RequestId(1_000), PoolId.Create(1, 1));
        foreach (var extentCount in new[] { 1, 16 })
        {
            ImmutableArray<Extent> extents = [.. Enumerable.Range(0, extentCount).Select(i => new Extent(0, new PageId(i * 16), 4, (uint)i + 1))];
            yield return ($"Decide, {extentCount} extents", new RankProtocol.Decide(
                new Decision(pool, new Epoch(1, 1), 77, DecisionKind.Map, extents, 0, session, request, acked, EngineStep.None)));
            yield return ($"PagesAllocated, {extentCount} extents", new EngineProtocol.PagesAllocated(session, request, pool, extents));
            yield return ($"FreeExtents, {extentCount} extents", new EngineProtocol.FreeExtents(session, request, acked, pool, extents, EngineStep.None));
        }

        yield return ("Decided", new RankProtocol.Decided(new DecisionAnswer(
            pool, new Epoch(1, 1), 77, 77, GpuId.Parse("GPU-5e2f9a10-1c3f-4a6e-9d2b-0f5e7a881234"), HostIncarnation.New(), DecisionOutcome.Applied,
            LayoutDigest.Empty, null, [], 31.5)));
        yield return ("AllocatePages", new EngineProtocol.AllocatePages(session, request, acked, pool, 0, 16, TimeSpan.FromSeconds(1)));
        yield return ("ExtentsFreed", new EngineProtocol.ExtentsFreed(session, request, pool));
    }

    private static string Text(Summary summary) =>
        string.Create(CultureInfo.InvariantCulture, $"{summary.P50:0} ({summary.Smallest:0}, {summary.Largest:0})");

    private sealed record Result(string Message, int Bytes, Summary WriteNanoseconds, Summary ReadNanoseconds);
}
