using System.Collections.Immutable;
using Kvcached.Actors.Workers;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Tests.Workers;

/// <summary>
/// An engine worker whose every answer is scripted: it keeps a table as a real one does, but answers only when told to. It may connect again and again.
/// </summary>
internal sealed class FakeWorker(WorkerRegistry registry, long firstConnection, uint userId = 1000)
{
    private readonly Dictionary<Extent, ExtentIdentity> _mapped = [];
    private readonly Dictionary<Extent, ExtentIdentity> _stuck = [];
    private readonly HashSet<(HostIncarnation, long)> _imports = [];
    private readonly Queue<WorkerProtocol.Operate> _unanswered = new();
    private readonly Dictionary<WorkerProtocol.Operate, long> _onWire = new(ReferenceEqualityComparer.Instance);
    private readonly WorkerRegistry _registry = registry;
    private readonly Lock _gate = new();
    private long _nextConnection = firstConnection;
    private bool _isAlive = true;

    public WorkerIncarnation Incarnation { get; } = WorkerIncarnation.New();

    public Wire? Current { get; private set; }

    /// <summary>True to answer every operation at once, and to leave when the pool is gone.</summary>
    public bool AnswersAtOnce { get; init; }

    /// <summary>True to let the next operation end in an exception, which no connection should.</summary>
    public bool FailsNext { get; set; }

    public int UnansweredCount
    {
        get
        {
            lock (_gate)
            {
                return _unanswered.Count;
            }
        }
    }

    /// <summary>Operations, in order, over all connections.</summary>
    public List<WorkerProtocol.Operate> Operations { get; } = [];

    /// <summary>Everything else that it was told, in order.</summary>
    public List<WorkerProtocol.IMessage> Told { get; } = [];

    /// <summary>What it has mapped as its table says.</summary>
    public IReadOnlyDictionary<Extent, ExtentIdentity> Mapped => _mapped;

    /// <summary>The same, while others go on telling it things.</summary>
    public ImmutableArray<Extent> MappedNow()
    {
        lock (_gate)
        {
            return [.. _mapped.Keys];
        }
    }

    /// <summary>All that it could still write to.</summary>
    public IEnumerable<Extent> Writable => _isAlive ? _mapped.Keys.Concat(_stuck.Keys) : [];

    /// <summary>How many pieces of memory it keeps alive, mapped or only imported.</summary>
    public int MemoryCount => _isAlive ? _mapped.Values.Concat(_stuck.Values).Select(KeyOf).Concat(_imports).Distinct().Count() : 0;

    public LayoutDigest Digest => _mapped.Keys.Aggregate(LayoutDigest.Empty, (digest, extent) => digest.With(extent));

    /// <summary>Why it refuses the next maps, of which it can't undo what sticks; null carries them out.</summary>
    public Refusal? RefusesMap { get; set; }

    /// <summary>Extents that its driver will not let go of.</summary>
    public Func<Extent, bool> Sticks { get; set; } = _ => false;

    public Wire Attach(string pool, int rank = 0, Func<WorkerProtocol.AttachRank, WorkerProtocol.AttachRank>? change = null, PoolId id = default)
    {
        _unanswered.Clear();
        _imports.Clear();
        var wire = Current = new Wire(this, _nextConnection++, userId);
        ImmutableArray<LentExtent> held = [.. _mapped.Select(m => new LentExtent(m.Key, m.Value))];
        var request = new WorkerProtocol.AttachRank(Incarnation, pool, rank, TestPools.Gpu(0), "host", id, default, 0, held);
        _registry.Attaching(wire, change?.Invoke(request) ?? request, [.. held.Select(_ => new SafeFileHandle())]);
        return wire;
    }

    /// <summary>Carries the oldest operation out and says so.</summary>
    public void Answer(Func<WorkerProtocol.OperationDone, WorkerProtocol.OperationDone>? change = null)
    {
        lock (_gate)
        {
            var done = CarryOut(_unanswered.Dequeue());
            _registry.Received(Current!, change?.Invoke(done) ?? done);
        }
    }

    public void AnswerAll()
    {
        while (_unanswered.Count > 0)
        {
            Answer();
        }
    }

    /// <summary>Carries the oldest operation out, but its connection breaks before it says so.</summary>
    public void CarryOutInSilence() => CarryOut(_unanswered.Dequeue());

    public void ReleaseStuck()
    {
        ImmutableArray<Extent> released = [.. _stuck.Keys];
        _stuck.Clear();
        _registry.Received(Current!, new WorkerProtocol.StuckReleased(released));
    }

    public void Say(WorkerProtocol.IMessage message) => _registry.Received(Current!, message);

    public void Detach()
    {
        _mapped.Clear();
        _stuck.Clear();
        _imports.Clear();
        _unanswered.Clear();
        Say(WorkerProtocol.Detach.Instance);
    }

    public void Disconnect()
    {
        _unanswered.Clear();
        var wire = Current!;
        wire.IsClosed = true;
        _registry.Disconnected(wire);
    }

    public void Die()
    {
        Disconnect();
        _isAlive = false;
        _mapped.Clear();
        _stuck.Clear();
        _registry.Died(Current!);
    }

    private WorkerProtocol.OperationDone CarryOut(WorkerProtocol.Operate operation)
    {
        ImmutableArray<Extent> stuck = [];
        Refusal? refusal = null;
        switch (operation.Kind)
        {
            case WorkerOperationKind.Map when RefusesMap is not null:
                refusal = RefusesMap;
                _imports.ExceptWith(operation.Extents.Select(e => KeyOf(e.Identity)));
                foreach (var extent in operation.Extents.Where(e => Sticks(e.Extent)))
                {
                    _stuck.Add(extent.Extent, extent.Identity);
                    stuck = stuck.Add(extent.Extent);
                }

                break;
            case WorkerOperationKind.Map:
                Enter(operation.Extents);
                break;
            case WorkerOperationKind.Unmap or WorkerOperationKind.Retire:
                ImmutableArray<LentExtent> leaving = [.. operation.Extents.Where(e => _mapped.TryGetValue(e.Extent, out var identity) && identity == e.Identity)];
                stuck = Leave(leaving.Select(e => e.Extent));
                _imports.UnionWith(leaving.Where(e => operation.Kind == WorkerOperationKind.Retire && !stuck.Contains(e.Extent)).Select(e => KeyOf(e.Identity)));
                break;
            case WorkerOperationKind.LetGo:
                _imports.ExceptWith(operation.Extents.Select(e => KeyOf(e.Identity)));
                break;
            case WorkerOperationKind.Install:
                var listed = operation.Extents.ToDictionary(e => e.Extent, e => e.Identity);
                Leave(_mapped.Keys.Where(e => !listed.ContainsKey(e)));
                stuck = [.. _stuck.Keys];
                Enter([.. operation.Extents.Where(e => !_mapped.ContainsKey(e.Extent))]);
                break;
        }

        return new WorkerProtocol.OperationDone(operation.Operation, refusal, Digest, stuck, 7);
    }

    private void Enter(IEnumerable<LentExtent> extents)
    {
        foreach (var extent in extents)
        {
            Assert.DoesNotContain(_mapped.Keys, e => e.Overlaps(extent.Extent));
            Assert.DoesNotContain(_mapped.Concat(_stuck).Select(m => m.Value), i => i.Creator == extent.Identity.Creator && i.Serial == extent.Identity.Serial);
            _mapped.Add(extent.Extent, extent.Identity);
            _imports.Remove(KeyOf(extent.Identity));
        }
    }

    private static (HostIncarnation, long) KeyOf(ExtentIdentity identity) => (identity.Creator, identity.Serial);

    private ImmutableArray<Extent> Leave(IEnumerable<Extent> extents)
    {
        var stuck = ImmutableArray.CreateBuilder<Extent>();
        foreach (var extent in extents.ToArray())
        {
            _mapped.Remove(extent, out var identity);
            if (Sticks(extent))
            {
                _stuck.Add(extent, identity);
                stuck.Add(extent);
            }
        }

        return stuck.ToImmutable();
    }

    /// <summary>One connection of the worker. It counts and closes the descriptors that it is given.</summary>
    internal sealed class Wire(FakeWorker worker, long id, uint userId) : IWorkerConnection
    {
        public long ConnectionId => id;

        public uint UserId => userId;

        public int ProcessId => 4711;

        public bool IsClosed { get; set; }

        public List<int> DescriptorCounts { get; } = [];

        public bool TrySend(WorkerProtocol.IMessage message, ImmutableArray<SafeFileHandle> descriptors)
        {
            lock (worker._gate)
            {
                return Take(message, descriptors);
            }
        }

        private bool Take(WorkerProtocol.IMessage message, ImmutableArray<SafeFileHandle> descriptors)
        {
            foreach (var descriptor in descriptors)
            {
                Assert.False(descriptor.IsInvalid);
                descriptor.Dispose();
            }

            if (IsClosed)
            {
                return false;
            }

            if (message is WorkerProtocol.Operate && worker.FailsNext)
            {
                worker.FailsNext = false;
                throw new InvalidOperationException("The connection has a fault.");
            }

            if (message is WorkerProtocol.Operate operation)
            {
                Assert.Equal(worker.Operations.Count(o => worker._onWire[o] == id) + 1, operation.Operation);
                worker._onWire[operation] = id;
                worker.Operations.Add(operation);
                worker._unanswered.Enqueue(operation);
                DescriptorCounts.Add(descriptors.Length);
                if (worker.AnswersAtOnce)
                {
                    worker.Answer();
                }
            }
            else
            {
                worker.Told.Add(message);
                if (worker.AnswersAtOnce && message is WorkerProtocol.PoolGone)
                {
                    worker.Detach();
                }
            }

            return true;
        }

        /// <summary>The host ends the connection: the gateway says so in turn.</summary>
        public void Close()
        {
            if (!IsClosed)
            {
                IsClosed = true;
                if (worker.Current == this)
                {
                    worker._unanswered.Clear();
                }

                worker._registry.Disconnected(this);
            }
        }
    }
}
