using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Kvcached.Client;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.EngineProbe;

/// <summary>What a scheduler process can be told. One session, any number of pools by name.</summary>
internal sealed class SchedulerCommands : IDisposable
{
    private readonly Dictionary<string, KvPool> _pools = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> _evicted = new();
    private readonly ConcurrentQueue<ShrinkAsked> _shrinks = new();
    private KvSession? _session;

    public SchedulerCommands(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands)
    {
        commands["open-session"] = OpenSession;
        commands["open-pool"] = OpenPool;
        commands["allocate"] = Allocate;
        commands["free"] = Free;
        commands["cache"] = Cache;
        commands["take-cached"] = command => OfFault(PoolOf(command).TakeCached(0, Blocks(command)));
        commands["tagged"] = Tagged;
        commands["grow"] = Grow;
        commands["trim"] = Trim;
        commands["pool-stats"] = Stats;
        commands["close-pool"] = command => ProbeAnswer.Of(PoolOf(command).Close(command.Seconds("deadline", 30), new EngineStep(command.Number("step", 0))));
        commands["close-session"] = _ => CloseSession();
    }

    public void Dispose() => _session?.Dispose();

    private static BlockId[] Blocks(ProbeCommand command) => [.. command.Numbers("blocks").Select(block => new BlockId(block))];

    private static ProbeAnswer OfFault(Core.Paging.BlockFault fault) => fault.IsNone ? ProbeAnswer.Ok : ProbeAnswer.Failed(fault.Kind.ToString(), fault.ToString());

    private ProbeAnswer OpenSession(ProbeCommand command)
    {
        var opened = KvSession.Open(new KvSessionOptions
        {
            SocketPath = command.Text("socket"),
            EngineName = command.Text("engine", "probe"),
            Domain = command.Text("domain", "default"),
            ConnectTimeout = command.Seconds("timeout", 30),
        });
        _session = opened.Value;
        return ProbeAnswer.Of(opened.Refusal).With("session", opened.Value?.Id.ToString());
    }

    private ProbeAnswer OpenPool(ProbeCommand command)
    {
        var name = command.Text("name");
        var spec = new PoolSpec(
            name, ProbeGeometry.Of(command), Enum.Parse<PoolTarget>(command.Text("target", nameof(PoolTarget.Worker))), command.Number("limit", 0), command.Number("floor", 0), Weight: 1);
        var options = new KvPoolOptions
        {
            IsGrowingAhead = command.Number("ahead", 0) == 1,
            WarmDecay = command.Number("decay", 0) == 0 ? Timeout.InfiniteTimeSpan : command.Seconds("decay", 0),
            HasNullBlock = false,
            IsEvictingToAllocate = command.Number("evict", 1) == 1,
            IsGivingUpCached = command.Number("evict", 1) == 1,
        };
        var opened = _session!.OpenPool(spec, options, command.Seconds("deadline", 30));
        if (opened.Value is { } pool)
        {
            _pools[name] = pool;
            pool.ShrinkAsked += _shrinks.Enqueue;
            pool.Evicted += (group, block, tag) => _evicted.Enqueue($"{group}:{block.Value}:{Encoding.UTF8.GetString(tag)}");
        }

        return ProbeAnswer.Of(opened.Refusal).With("pool", opened.Value?.Id.Value);
    }

    /// <summary>Takes <c>count</c> blocks from each of <c>threads</c> threads, growing as needed; with <c>tag</c> they are tagged with numbers from there on.</summary>
    private ProbeAnswer Allocate(ProbeCommand command)
    {
        var pool = PoolOf(command);
        var count = (int)command.Number("count");
        var deadline = command.Seconds("deadline", 30);
        var taken = new ConcurrentBag<BlockId>();
        Refusal? refusal = null;
        RunOnThreads((int)command.Number("threads", 1), _ =>
        {
            var blocks = new BlockId[count];
            if (pool.AllocateOrGrow(0, blocks, deadline) is { } refused)
            {
                refusal = refused;
                return;
            }

            foreach (var block in blocks)
            {
                taken.Add(block);
            }
        });
        BlockId[] all = [.. taken];
        if (command.Number("tag", -1) is var tag and >= 0)
        {
            foreach (var block in all)
            {
                if (pool.Tag(0, block, Encoding.UTF8.GetBytes((tag++).ToString(CultureInfo.InvariantCulture))) is { IsNone: false } fault)
                {
                    return OfFault(fault);
                }
            }
        }

        return ProbeAnswer.Of(refusal).With("blocks", all.Select(block => block.Value));
    }

    /// <summary>Frees blocks from several threads, each its share.</summary>
    private ProbeAnswer Free(ProbeCommand command)
    {
        var pool = PoolOf(command);
        var step = command.Text("step", "none") switch
        {
            "none" => EngineStep.None,
            "sync" => EngineStep.Sync,
            _ => new EngineStep(command.Number("step")),
        };
        var blocks = Blocks(command);
        var threads = (int)command.Number("threads", 1);
        var faults = new ConcurrentBag<ProbeAnswer>();
        RunOnThreads(threads, thread =>
        {
            BlockId[] mine = [.. blocks.Where((_, index) => index % threads == thread)];
            if (pool.Free(0, mine, step) is { IsNone: false } fault)
            {
                faults.Add(OfFault(fault));
            }
        });
        return faults.TryTake(out var first) ? first : ProbeAnswer.Ok;
    }

    private ProbeAnswer Cache(ProbeCommand command) => OfFault(
        PoolOf(command).Cache(0, new BlockId((int)command.Number("block")), Encoding.UTF8.GetBytes(command.Text("tag")), EngineStep.None));

    private ProbeAnswer Tagged(ProbeCommand command)
    {
        var found = new JsonObject();
        foreach (var tagged in PoolOf(command).EnumerateTagged(0))
        {
            found[Encoding.UTF8.GetString([.. tagged.Tag])] = tagged.Block.Value;
        }

        return ProbeAnswer.Ok.With("tagged", found);
    }

    private ProbeAnswer Grow(ProbeCommand command)
    {
        var grown = PoolOf(command).Grow(0, (int)command.Number("pages"), command.Seconds("deadline", 30));
        return ProbeAnswer.Of(grown.Refusal).With("pages", grown.Value);
    }

    private ProbeAnswer Trim(ProbeCommand command)
    {
        var trimmed = PoolOf(command).Trim(0, (int)command.Number("keep", 0), command.Seconds("deadline", 30));
        return ProbeAnswer.Of(trimmed.Refusal).With("pages", trimmed.Value);
    }

    private ProbeAnswer Stats(ProbeCommand command)
    {
        var pool = PoolOf(command);
        var stats = pool.GetStats();
        return ProbeAnswer.Ok.With("mappedPages", stats.MappedPages).With("usedBlocks", stats.UsedBlocks).With("cachedBlocks", stats.CachedBlocks)
            .With("freeBlocks", stats.FreeBlocks).With("revokedExtents", stats.RevokedExtents)
            .With("evicted", _evicted.Count).With("shrinks", _shrinks.Count).With("askedPages", _shrinks.Sum(shrink => shrink.AskedPages)).With("withdrawn", pool.Withdrawn?.Reason.ToString());
    }

    private ProbeAnswer CloseSession()
    {
        _session?.Dispose();
        _session = null;
        _pools.Clear();
        return ProbeAnswer.Ok;
    }

    private KvPool PoolOf(ProbeCommand command) => _pools[command.Text("pool")];

    private static void RunOnThreads(int count, Action<int> run)
    {
        var threads = Enumerable.Range(0, count).Select(index => new Thread(() => run(index))).ToArray();
        foreach (var thread in threads)
        {
            thread.Start();
        }

        foreach (var thread in threads)
        {
            thread.Join();
        }
    }
}
