using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Core.Workers.WorkerProtocol;

namespace Kvcached.Client.Arenas;

/// <summary>
/// Carries out a host's operations, and answers them in their order. An unmap takes its extents out of the table at once and is answered when they are
/// gone, which may be steps later; what comes after it goes on meanwhile, unless it is about the same pages. Once that is to be answered, the unmap is
/// answered before it, with what still waits named as stuck. Used by one thread; knows nothing of sockets.
/// </summary>
/// <param name="memory">What is mapped.</param>
/// <param name="steps">Which steps are complete.</param>
/// <param name="synchronizer">Waits for all submitted work.</param>
/// <param name="say">Sends to the host; what is said while there is none is lost.</param>
internal sealed partial class ArenaWork(ArenaMemory memory, StepTracker steps, Synchronizer synchronizer, Action<IMessage> say)
{
    private readonly Queue<Order> _orders = new();
    private readonly List<Leaving> _leaving = [];
    private readonly List<MappedMemory> _stuck = [];
    private long _lastOperation;

    /// <summary>An operation that came, with the descriptors of its extents.</summary>
    private sealed class Order(Operate operate, ImmutableArray<SafeFileHandle> descriptors, Refusal? refusal)
    {
        /// <summary>Why it is not to be carried out, which is said in its turn.</summary>
        public Refusal? Refusal { get; } = refusal;

        public Operate Operate { get; } = operate;

        public ImmutableArray<SafeFileHandle> Descriptors { get; } = descriptors;

        public Stopwatch Driver { get; } = new();

        /// <summary>For an install: what isn't on the list has been taken out.</summary>
        public bool IsBegun { get; set; }
    }

    /// <summary>An unmap that is answered when the last of its extents is gone.</summary>
    private sealed class Farewell(long operation, LayoutDigest digest)
    {
        public long Operation { get; } = operation;

        public LayoutDigest Digest { get; } = digest;

        public int Remaining { get; set; }

        public List<Extent> Stuck { get; } = [];

        public Stopwatch Driver { get; } = new();
    }

    /// <summary>Memory that is out of the table and waits for its fence.</summary>
    private sealed record Leaving(MappedMemory Memory, EngineStep Fence, SyncPoint? Point, Farewell? Farewell)
    {
        /// <summary>The host was told that it isn't gone yet, and waits to hear that it is.</summary>
        public bool IsNamed { get; init; }

        /// <summary>It is to stay imported, for as long as the host waits for it to be unmapped.</summary>
        public bool IsRetiring { get; init; }
    }

    public Epoch HighestEpoch { get; private set; }

    /// <summary>The highest generation of any extent that it was told to map.</summary>
    public uint HighestGeneration { get; private set; }

    public long OperationCount { get; private set; }

    public long RefusalCount { get; private set; }

    public int LeavingCount => _leaving.Count;

    /// <summary>What the driver keeps: mappings, and imports of nothing mapped.</summary>
    public int StuckCount => _stuck.Count + memory.Imports.RefusedCount;

    /// <summary>Everything that is mapped in the process and whole, also what is leaving: a host that takes the worker back must know of it.</summary>
    public ImmutableArray<MappedMemory> Held => [.. memory.Mapped, .. _leaving.Select(l => l.Memory).Where(m => m.IsWhole)];

    /// <summary>What is in no table any more and not gone yet.</summary>
    public IEnumerable<MappedMemory> Unlisted => _leaving.Select(l => l.Memory).Concat(_stuck);

    /// <summary>True while something waits for a fence, so that the steps should be asked for often.</summary>
    public bool IsWaiting => _leaving.Count > 0;

    /// <summary>Takes an operation in. The descriptors are taken over.</summary>
    public void Receive(Operate operate, ImmutableArray<SafeFileHandle> descriptors)
    {
        // What a host wants back of its own memory is no decision, and follows no epoch.
        var isDecided = operate.Kind != WorkerOperationKind.LetGo;
        var refusal = operate.Operation != _lastOperation + 1
            ? new Refusal(RefusalReason.InvalidMessage, $"Operation {operate.Operation} came after {_lastOperation}.")
            : operate.Epoch < HighestEpoch && isDecided
                ? new Refusal(RefusalReason.StaleEpoch, $"The worker follows {HighestEpoch}; {operate.Epoch} is over.")
                : null;
        _lastOperation = Math.Max(_lastOperation, operate.Operation);
        HighestEpoch = refusal is null && isDecided ? operate.Epoch : HighestEpoch;
        foreach (var lent in operate.Extents)
        {
            HighestGeneration = Math.Max(HighestGeneration, lent.Extent.Generation);
        }

        _orders.Enqueue(new Order(operate, descriptors, refusal));
        Pump();
    }

    /// <summary>Does what can be done now: lets go of what its fence allows, then goes on with the operations.</summary>
    public void Pump()
    {
        Release();
        while (_orders.TryPeek(out var order) && TryCarryOut(order))
        {
            _orders.Dequeue();
        }
    }

    /// <summary>The connection is lost: what was ordered over it is void, and what is leaving leaves unannounced.</summary>
    public void Disconnected()
    {
        foreach (var order in _orders)
        {
            Lines.SocketLine.Discard(order.Descriptors);
        }

        _orders.Clear();
        _lastOperation = 0;

        // The next host knows nothing of it.
        memory.Imports.LetGoOfAll();
        for (var i = 0; i < _leaving.Count; i++)
        {
            _leaving[i] = _leaving[i] with { Farewell = null, IsNamed = false };
        }
    }

    /// <summary>The pool is gone: everything leaves once all work submitted until now is complete, and the step that is named, which may not have come here yet.</summary>
    public void LetGoOfAll(EngineStep fence)
    {
        Disconnected();
        var point = synchronizer.Request();
        foreach (var mapped in memory.Mapped.ToArray())
        {
            _leaving.Add(new Leaving(memory.TakeOut(mapped.Lent)!, fence, point, null));
        }

        Release();
    }

    /// <summary>This worker leaves: it submits nothing more, so that no step which hasn't come here is waited for.</summary>
    public void Leave()
    {
        LetGoOfAll(EngineStep.None);
        var point = synchronizer.Request();
        for (var i = 0; i < _leaving.Count; i++)
        {
            _leaving[i] = _leaving[i].Fence <= steps.Completed ? _leaving[i] : _leaving[i] with { Fence = EngineStep.None, Point = point };
        }

        Release();
    }

    /// <summary>Tries again to let go of what the driver kept.</summary>
    public void RetryStuck()
    {
        memory.Imports.RetryRefused();
        var released = _stuck.FindAll(stuck => stuck.TryLetGo());
        if (released.Count > 0)
        {
            _stuck.RemoveAll(released.Contains);
            say(new StuckReleased([.. released.Select(r => r.Extent)]));
            Pump();
        }
    }

    private bool TryCarryOut(Order order) => order.Refusal is { } refusal ? Refuse(order, refusal) : order.Operate.Kind switch
    {
        WorkerOperationKind.Map => TryMap(order),
        WorkerOperationKind.Unmap or WorkerOperationKind.Retire => Unmap(order),
        WorkerOperationKind.LetGo => LetGo(order),
        WorkerOperationKind.Install => TryInstall(order),
        _ => Refuse(order, new Refusal(RefusalReason.NotSupported, $"There is no operation of kind {(int)order.Operate.Kind}.")),
    };

    private bool TryMap(Order order)
    {
        if (IsInTheWay(order.Operate.Extents))
        {
            return false;
        }

        if (FindStuck(order.Operate.Extents) is { } stuck)
        {
            return Refuse(order, stuck);
        }

        order.Driver.Start();
        var refusal = memory.Map(order.Operate.Extents, order.Descriptors, out var kept);
        order.Driver.Stop();
        _stuck.AddRange(kept);
        Answer(order.Operate.Operation, refusal, memory.Digest, [.. kept.Select(k => k.Extent)], order.Driver.Elapsed);
        return true;
    }

    private bool Unmap(Order order)
    {
        Lines.SocketLine.Discard(order.Descriptors);
        var departing = order.Operate.Extents.Select(memory.TakeOut).OfType<MappedMemory>().ToList();
        var farewell = new Farewell(order.Operate.Operation, memory.Digest) { Remaining = departing.Count };

        // What is stuck since an earlier try is still asked for: it isn't gone.
        farewell.Stuck.AddRange(_stuck.Where(s => order.Operate.Extents.Contains(s.Lent)).Select(s => s.Extent));
        if (departing.Count == 0)
        {
            Answer(farewell);
            return true;
        }

        var point = PointFor(order.Operate.Fence);
        _leaving.AddRange(departing.Select(m => new Leaving(m, order.Operate.Fence, point, farewell)
        {
            IsRetiring = order.Operate.Kind == WorkerOperationKind.Retire,
        }));
        Release();
        return true;
    }

    private SyncPoint? PointFor(EngineStep fence) => fence == EngineStep.Sync ? synchronizer.Request() : null;

    private bool IsFree(Leaving leaving) => leaving.Point?.IsDone != false && (leaving.Fence == EngineStep.Sync || leaving.Fence <= steps.Completed);

    /// <summary>Lets go of everything whose fence is passed, and answers the unmaps that are complete by it.</summary>
    private void Release()
    {
        for (var i = 0; i < _leaving.Count; i++)
        {
            var leaving = _leaving[i];
            if (!IsFree(leaving))
            {
                continue;
            }

            _leaving.RemoveAt(i--);
            leaving.Farewell?.Driver.Start();
            var isGone = TryLetGo(leaving);
            leaving.Farewell?.Driver.Stop();
            if (!isGone)
            {
                _stuck.Add(leaving.Memory);
                leaving.Farewell?.Stuck.Add(leaving.Memory.Extent);
            }
            else if (leaving.IsNamed)
            {
                say(new StuckReleased([leaving.Memory.Extent]));
            }

            if (leaving.Farewell is { } farewell && --farewell.Remaining == 0)
            {
                Answer(farewell);
            }
        }
    }

    private bool IsInTheWay(ImmutableArray<LentExtent> extents) =>
        _leaving.Count > 0 && extents.Any(e => _leaving.Any(l => l.Memory.Extent.Overlaps(e.Extent)));

    private Refusal? FindStuck(ImmutableArray<LentExtent> extents) =>
        _stuck.Count > 0 && extents.Any(e => _stuck.Any(s => s.Extent.Overlaps(e.Extent)))
            ? new Refusal(RefusalReason.DriverFailed, "The driver still keeps an earlier mapping of these pages in the worker. Use others until it lets go.")
            : null;

    private bool Refuse(Order order, Refusal refusal)
    {
        Lines.SocketLine.Discard(order.Descriptors);
        if (order.Operate.Kind == WorkerOperationKind.Map)
        {
            memory.ForgetImportsOf(order.Operate.Extents);
        }

        Answer(order.Operate.Operation, refusal, memory.Digest, [], order.Driver.Elapsed);
        return true;
    }

    private void Answer(Farewell farewell) => Answer(farewell.Operation, null, farewell.Digest, [.. farewell.Stuck], farewell.Driver.Elapsed);

    /// <summary>Answers the unmaps before an operation that still wait: out of the table they are, and what isn't gone is named.</summary>
    private void AnswerUnmapsBefore(long operation)
    {
        while (_leaving.Select(l => l.Farewell).OfType<Farewell>().Where(f => f.Operation < operation).MinBy(f => f.Operation) is { } farewell)
        {
            for (var i = 0; i < _leaving.Count; i++)
            {
                if (_leaving[i].Farewell == farewell)
                {
                    _leaving[i] = _leaving[i] with { Farewell = null, IsNamed = true };
                    farewell.Stuck.Add(_leaving[i].Memory.Extent);
                }
            }

            Answer(farewell);
        }
    }

    private void Answer(long operation, Refusal? refusal, LayoutDigest digest, ImmutableArray<Extent> stuck, TimeSpan driver)
    {
        AnswerUnmapsBefore(operation);
        OperationCount++;
        RefusalCount += refusal is null ? 0 : 1;
        say(new OperationDone(operation, refusal, digest, stuck, driver.TotalMicroseconds));
    }
}
