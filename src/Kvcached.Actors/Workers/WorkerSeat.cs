using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Actors.Workers;

/// <summary>
/// The place of a pool's worker on a rank: who has it, what it may still have mapped, and what it is to do. Belongs to the rank, not to its page
/// mapper, and outlives it.
/// </summary>
internal sealed class WorkerSeat
{
    /// <summary>How often the coordinator is told of a change: the message has no answer, and may be lost.</summary>
    private const int TimesToTell = 5;

    private bool _hadWorker;
    private bool _isCaughtUp;
    private int _toTell;

    public WorkerQueue Queue { get; init; } = new();

    /// <summary>The worker that lives, as far as is known, connected or not; default when there is none.</summary>
    public WorkerIncarnation Worker { get; private set; }

    /// <summary>The process of that worker.</summary>
    public ProcessIdentity Process { get; private set; }

    /// <summary>True while a worker that held memory of the host before this one hasn't handed it over yet.</summary>
    public bool IsAdopting { get; private set; }

    /// <summary>The way to it; null while there is none.</summary>
    public IWorkerConnection? Connection { get; private set; }

    /// <summary>The last connection, also when it is gone; 0 = none.</summary>
    public long LastConnectionId { get; private set; }

    /// <summary>What the living worker may have mapped, and the memory behind it: nobody else may get that.</summary>
    public Dictionary<Extent, ExtentIdentity> Held { get; } = [];

    /// <summary>Of these, what its driver would not let go of: it says when it does.</summary>
    public HashSet<Extent> Stuck { get; } = [];

    /// <summary>True while it is connected and has the whole table; only then does it map more.</summary>
    public bool IsCaughtUp
    {
        get => _isCaughtUp;
        set
        {
            _toTell = value == _isCaughtUp ? _toTell : TimesToTell;
            _isCaughtUp = value;
        }
    }

    /// <summary>The operation that completes its table after attaching; 0 = none.</summary>
    public long CatchUpTicket { get; set; }

    /// <summary>Digest that it must show then.</summary>
    public LayoutDigest CatchUpDigest { get; set; }

    /// <summary>The pool is being closed: nothing is mapped any more, and its worker is told to leave.</summary>
    public bool IsClosing { get; set; }

    /// <summary>The last engine step that uses the pool which is being closed.</summary>
    public EngineStep CloseFence { get; set; }

    /// <summary>The command that waits for the worker; null = none.</summary>
    public WorkerWait? Wait { get; set; }

    public RankWorker Standing => IsCaughtUp ? RankWorker.Attached : _hadWorker ? RankWorker.Gone : RankWorker.None;

    /// <summary>True when the coordinator is to be told of a change, this time.</summary>
    public bool TakeNews() => _toTell > 0 && _toTell-- > 0;

    /// <summary>That worker has attached to the host before this one; nobody else may have the place while it lives.</summary>
    public void Expect(WorkerIncarnation worker, ProcessIdentity process)
    {
        (Worker, Process, IsAdopting) = (worker, process, true);
        _hadWorker = true;
    }

    public void Attach(IWorkerConnection connection, WorkerIncarnation worker)
    {
        IsAdopting = false;
        Process = worker == Worker ? Process : ProcessIdentity.Of(connection.ProcessId);
        Connection = connection;
        LastConnectionId = connection.ConnectionId;
        Worker = worker;
        _hadWorker = true;
    }

    /// <summary>Its connection is gone; it may live on.</summary>
    public void Disconnect()
    {
        Connection = null;
        Queue.Reset();
        IsCaughtUp = false;
        CatchUpTicket = 0;
    }

    /// <summary>It is dead, or has left.</summary>
    public void Leave() => Worker = default;
}

/// <summary>A command of the coordinator that waits for a worker.</summary>
/// <param name="command">The command.</param>
internal sealed class WorkerWait(RankProtocol.ICommand command)
{
    public RankProtocol.ICommand Command { get; } = command;

    /// <summary>The operation whose answer settles it; 0 = none, another event does.</summary>
    public long Ticket { get; set; }

    /// <summary>True while it waits for workers, its own or others, to let go of memory that they kept imported.</summary>
    public bool IsAwaitingMemory { get; set; }

    /// <summary>Its answer, once it is settled.</summary>
    public RankProtocol.IReply? Reply { get; set; }

    public ImmutableArray<Extent> Extents => Command is RankProtocol.Decide decide ? decide.Decision.Extents : [];
}
