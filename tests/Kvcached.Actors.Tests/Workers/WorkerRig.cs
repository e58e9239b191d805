using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Actors.Ranks;
using Kvcached.Actors.Tests.Ranks;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>A rank's work with worker pools, without an actor: commands, what workers say, and deadlines are put in one by one.</summary>
internal sealed class WorkerRig : IDisposable
{
    private readonly List<FakeWorker> _workers = [];

    public WorkerRig(long userId = -1, int maxDescriptors = WorkerQueue.MaxDescriptorsInFlight, bool keepsImports = false)
    {
        Rank.State.KeepsImports = keepsImports;
        Work = new MapperWork(Rank.State);
        Assert.Null(Assert.IsType<RankProtocol.RankPoolAnswer>(Work.Open(RankRig.OpenForWorkers(Pool, userId))).Refusal);
        var opened = Rank.State.Pools[Pool];
        Rank.State.Remove(Pool);
        Rank.State.Add(opened with { Seat = new WorkerSeat { Queue = new WorkerQueue(maxDescriptors) } });
    }

    public static PoolId Pool => RankRig.PoolA;

    public static string Name => RankRig.NameOf(Pool);

    public RankRig Rank { get; } = new();

    public MapperWork Work { get; }

    public RankPool Memory => Rank.Pages.TryGet(Pool, out var memory) ? memory : throw new InvalidOperationException("The pool isn't open.");

    public WorkerSeat Seat => Rank.State.Pools[Pool].Seat!;

    /// <summary>Answers to commands that had to wait, in order.</summary>
    public List<RankProtocol.IReply> Replies { get; } = [];

    public FakeWorker NewWorker(uint userId = 1000)
    {
        var worker = new FakeWorker(Rank.State.Workers, 1 + (100 * _workers.Count), userId);
        _workers.Add(worker);
        return worker;
    }

    /// <summary>A worker that is attached and has the whole table.</summary>
    public FakeWorker NewAttachedWorker()
    {
        var worker = NewWorker();
        worker.Attach(Name);
        Hear();
        worker.AnswerAll();
        Hear();
        Assert.Equal(RankWorker.Attached, Seat.Standing);
        return worker;
    }

    /// <summary>The answer; null when it waits.</summary>
    public DecisionAnswer? Send(RankProtocol.Decide decide) => ((RankProtocol.Decided?)Checked(Work.Decide(decide)))?.Answer;

    public DecisionAnswer? Send(RankProtocol.InstallTable install) => ((RankProtocol.Decided?)Checked(Work.Install(install)))?.Answer;

    public RankProtocol.RankPoolAnswer? Close(EngineStep fence = default) =>
        (RankProtocol.RankPoolAnswer?)Checked(Work.Close(new RankProtocol.CloseRankPool(Rank.State.HighestEpoch, Pool, fence)));

    /// <summary>Takes in all that was told of workers.</summary>
    public void Hear()
    {
        while (Rank.State.Workers.TryBegin(out var news))
        {
            Collect(Work.Hear(news));
            Rank.State.Workers.Done();
            Check();
        }
    }

    /// <summary>The command that waits has waited too long.</summary>
    public void Expire()
    {
        Assert.NotNull(Seat.Wait);
        Collect(Work.Expire(Pool, Seat.Wait));
        Check();
    }

    /// <summary>The answer of the decision that waited.</summary>
    public DecisionAnswer TakeAnswer()
    {
        var reply = Assert.IsType<RankProtocol.Decided>(Assert.Single(Replies));
        Replies.Clear();
        return reply.Answer;
    }

    public ImmutableArray<Extent> Quarantined => [.. Memory.QuarantinedExtents.Select(q => q.Extent).OrderBy(e => e.First)];

    /// <summary>What the coordinator is told to be free by and by.</summary>
    public ImmutableArray<Extent> Cleared => [.. Rank.State.Cleared.SelectMany(c => c.Extents).Distinct().OrderBy(e => e.First)];

    public void Dispose() => Rank.Dispose();

    /// <summary>The rule of rules: whatever a living worker can write to is on the rank's books, as that grant.</summary>
    public void Check()
    {
        if (!Rank.Pages.TryGet(Pool, out var memory))
        {
            Assert.All(_workers, w => Assert.Empty(w.Writable));
            return;
        }

        // Memory that a worker keeps alive is released by nobody: each extent has one handle here.
        Assert.True(_workers.Sum(w => w.MemoryCount) <= Rank.Memory.Live.HandleCount, "Memory was released that a worker keeps.");
        HashSet<Extent> booked = [.. memory.MappedExtents, .. memory.QuarantinedExtents.Select(q => q.Extent)];
        foreach (var extent in _workers.SelectMany(w => w.Writable))
        {
            Assert.Contains(extent, booked);
        }
    }

    private void Collect(RankPoolState? pool)
    {
        if (pool is not null && MapperWork.TryCollect(pool, out var reply))
        {
            Replies.Add(reply);
        }
    }

    private RankProtocol.IReply? Checked(RankProtocol.IReply? reply)
    {
        Check();
        return reply;
    }
}
