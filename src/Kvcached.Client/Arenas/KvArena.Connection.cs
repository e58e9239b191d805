using System.Collections.Immutable;
using Kvcached.Client.Arenas;
using Kvcached.Client.Lines;
using Kvcached.Core.Decisions;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client;

/// <content>What the arena's thread does: connects, attaches, hears the host, and lets go.</content>
public sealed partial class KvArena
{
    private static readonly TimeSpan StuckRetryInterval = TimeSpan.FromMilliseconds(500);

    private ArenaMemory? _arena;
    private ArenaWork? _work;
    private IEngineLine? _line;
    private volatile bool _isAttached;
    private volatile bool _isTableComplete;
    private volatile bool _hasLeft;
    private volatile Refusal? _gone;
    private volatile Refusal? _lastObstacle;
    private SyncPoint? _point;
    private bool _isLeaving;
    private bool _isGoneTold;
    private int _connections;
    private long? _triedAt;
    private long? _unattachedSince;
    private long _stuckTriedAt;
    private KvArenaStats _published = new(0, 0, 0, 0, 0, 0, EngineStep.None, LayoutDigest.Empty, 0, 0, 0);

    private TimeSpan Upkeep()
    {
        if (_line is null && !_isLeaving && _gone is null && (_triedAt is null || _time.GetElapsedTime(_triedAt.Value) >= _options.RetryInterval))
        {
            Connect();
        }

        if (_work is { } work)
        {
            _steps.Poll(_fences.IsComplete);
            work.Pump();
            if (work.IsWaiting && _steps.NeedsSync && _point is not { IsDone: false })
            {
                // A step whose work could not be marked: only waiting for all of it can tell.
                _point = _synchronizer.Request();
            }

            if (work.StuckCount > 0 && _time.GetElapsedTime(_stuckTriedAt) >= StuckRetryInterval)
            {
                _stuckTriedAt = _time.GetTimestamp();
                work.RetryStuck();
            }

            _isWaiting = work.IsWaiting;
        }

        FinishLeaving();
        Publish();
        _changed.Set();
        return _isWaiting && !_fences.IsImmediate ? TimeSpan.FromMilliseconds(1)
            : _line is null && !_isLeaving ? Shorter(_options.RetryInterval, TimeSpan.FromMilliseconds(100))
            : TimeSpan.FromMilliseconds(100);
    }

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;

    private void Connect()
    {
        _triedAt = _time.GetTimestamp();
        _unattachedSince ??= _triedAt;
        var line = _connector.TryConnect(EngineRole.Worker, TimeSpan.FromSeconds(1), out var refusal);
        if (line is null)
        {
            // A host that is away may come back; how long that takes is nobody's fault but its own, and the memory is good meanwhile.
            _lastObstacle = refusal;
            _unattachedSince = _work is null ? _unattachedSince : null;
            if (_work is null && refusal!.Reason is RefusalReason.UnsupportedVersion or RefusalReason.NotAllowed)
            {
                _gone = refusal;
            }

            return;
        }

        Volatile.Write(ref _line, line);
        var isPrepared = false;
        line.Start(
            (message, descriptors) =>
            {
                if (!isPrepared)
                {
                    // The line's own thread, which takes the arena's turns: it calls the driver too.
                    isPrepared = true;
                    _fences.PrepareThread();
                }

                if (!_thread.DoOrPost(() => Received(line, message, descriptors)))
                {
                    SocketLine.Discard(descriptors);
                }
            },
            () => _thread.Post(() => Lost(line)));
        var held = _work?.Held ?? [];
        line.Send(
            new WorkerProtocol.AttachRank(
                Worker, _options.PoolName, _options.Rank, _options.Device, _memory.Backend, Pool, _work?.HighestEpoch ?? default, _work?.HighestGeneration ?? 0,
                [.. held.Select(h => h.Lent)]),
            [.. held.SelectMany(h => h.Descriptors)]);
    }

    private void Received(IEngineLine line, object message, ImmutableArray<SafeFileHandle> descriptors)
    {
        if (!ReferenceEquals(line, _line))
        {
            SocketLine.Discard(descriptors);
            return;
        }

        switch (message)
        {
            case WorkerProtocol.RankAttached attached when !_isAttached:
                Attached(attached);
                break;
            case WorkerProtocol.AttachRefused refused when !_isAttached:
                Refused(refused.Refusal);
                break;
            case WorkerProtocol.Operate operate when _isAttached && !_isLeaving && _gone is null:
                _work!.Receive(operate, descriptors);
                return;
            case WorkerProtocol.TableComplete when _isAttached:
                _isTableComplete = true;
                break;
            case WorkerProtocol.PoolGone gone:
                LoseToDomain(gone.Refusal, gone.Fence);
                break;
            case SocketProtocol.Rejected rejected:
                _lastObstacle = rejected.Refusal;
                break;
        }

        SocketLine.Discard(descriptors);
    }

    private void Attached(WorkerProtocol.RankAttached attached)
    {
        if (FindMisfit(attached) is { } misfit)
        {
            if (_work is null)
            {
                _gone = misfit;
            }
            else
            {
                LoseToDomain(misfit);
            }

            _line!.Interrupt();
            return;
        }

        if (_work is null)
        {
            try
            {
                _arena = new ArenaMemory(_memory, attached.Spec.Geometry, _options.Rank, _options.Guard);
            }
            catch (VirtualMemoryException failure)
            {
                _gone = new Refusal(RefusalReason.DriverFailed, $"The arena of pool '{_options.PoolName}' can't be reserved: {failure.Message}");
                _line!.Interrupt();
                return;
            }

            Layout = _arena.Layout;
            BaseAddress = _arena.BaseAddress;
            Tensors = ListTensors(attached.Spec.Geometry, Layout);
        }

        if (_work is { } work && attached.Pool != Pool)
        {
            // The pool ended unheard, and another took its name: what was the old one's leaves behind all work that may still use it.
            work.LetGoOfAll(EngineStep.None);
        }

        (Pool, Spec) = (attached.Pool, attached.Spec);
        _connections++;
        _unattachedSince = null;
        _isAttached = true;
        if (_work is null)
        {
            // Published last: whoever waits for it reads the rest.
            Volatile.Write(ref _work, new ArenaWork(_arena!, _steps, _synchronizer, Say));
        }
    }

    private Refusal? FindMisfit(WorkerProtocol.RankAttached attached)
    {
        var geometry = attached.Spec.Geometry;
        var problem = GeometryRules.FindProblem(geometry, _memory.GranularityBytes);
        return problem is not null ? new Refusal(RefusalReason.BadGeometry, problem)
            : attached.Rank != _options.Rank || (uint)_options.Rank >= (uint)geometry.Ranks.Length || geometry.Ranks[_options.Rank].Gpu != _options.Device
                ? new Refusal(RefusalReason.WrongDevice, $"Rank {_options.Rank} of pool '{_options.PoolName}' doesn't lie on {_options.Device}.")
            : _work is not null && !geometry.Equals(Spec.Geometry)
                ? new Refusal(RefusalReason.UnknownPool, $"Pool '{_options.PoolName}' was opened anew with another geometry. Attach a new arena.")
            : null;
    }

    private void Refused(Refusal refusal)
    {
        _lastObstacle = refusal;
        if (_work is null ? !MayPass(refusal.Reason) : refusal.Reason is RefusalReason.PoolLost or RefusalReason.StaleIncarnation || IsReattachOver())
        {
            LoseToDomain(refusal);
        }

        _line!.Interrupt();
    }

    private bool IsReattachOver() => _unattachedSince is { } since && _time.GetElapsedTime(since) > _options.ReattachTimeout;

    /// <summary>Refusals that a worker meets which is only too early.</summary>
    private static bool MayPass(RefusalReason reason) => reason is RefusalReason.UnknownPool or RefusalReason.RankUnavailable or RefusalReason.Recovering
        or RefusalReason.Busy or RefusalReason.AlreadyAttached or RefusalReason.PoolStopped or RefusalReason.HostUnreachable or RefusalReason.StaleEpoch;

    private void Lost(IEngineLine line)
    {
        if (ReferenceEquals(_line, line))
        {
            Volatile.Write(ref _line, null);
            _isAttached = false;
            _triedAt = _time.GetTimestamp();
            _work?.Disconnected();
        }

        line.Dispose();
    }

    private void LoseToDomain(Refusal refusal, EngineStep fence = default)
    {
        if (_gone is null)
        {
            _gone = refusal;
            _work?.LetGoOfAll(fence);
        }
    }

    private void Leave()
    {
        _isLeaving = true;
        _work?.Leave();
    }

    /// <summary>Says goodbye once nothing is left.</summary>
    private void FinishLeaving()
    {
        if ((!_isLeaving && _gone is null) || _work is { } work && (work.IsWaiting || work.StuckCount > 0))
        {
            return;
        }

        if (_isAttached)
        {
            Say(WorkerProtocol.Detach.Instance);
            _isAttached = false;
            _line?.Interrupt();
        }

        _hasLeft = true;
        if (_gone is { } gone && !_isGoneTold && _work is not null)
        {
            _isGoneTold = true;
            KvProcess.Guard(() => PoolGone?.Invoke(gone));
        }
    }

    /// <summary>Closes what is left. Null, or what the driver or unfinished work keeps.</summary>
    private Refusal? CloseAll()
    {
        if (_line is { } line)
        {
            Volatile.Write(ref _line, null);
            line.Dispose();
        }

        if (_work is { } work && (work.IsWaiting || work.StuckCount > 0))
        {
            return new Refusal(
                RefusalReason.DriverFailed,
                $"{work.LeavingCount} extents of pool '{_options.PoolName}' are still used by submitted work and {work.StuckCount} are kept by the driver. They stay mapped until this process ends.");
        }

        return _arena?.TryFree() ?? true
            ? null
            : new Refusal(RefusalReason.DriverFailed, $"The arena of pool '{_options.PoolName}' could not be given back. Its addresses stay reserved until this process ends.");
    }

    private void Say(WorkerProtocol.IMessage message) => _line?.Send(message, []);

    private void Publish()
    {
        if (_work is { } work && _arena is { } arena)
        {
            Volatile.Write(ref _published, new KvArenaStats(
                arena.Mapped.Count, arena.MappedPageCount, arena.MappedBytes + work.Unlisted.Sum(m => m.ByteCount),
                arena.MappedDescriptorCount + work.Unlisted.Sum(m => m.OpenDescriptorCount),
                work.LeavingCount, work.StuckCount, _steps.Completed, arena.Digest, work.OperationCount, work.RefusalCount, _connections));
        }
    }

    private static ImmutableArray<KvTensor> ListTensors(PoolGeometry geometry, ArenaLayout layout)
    {
        var tensors = ImmutableArray.CreateBuilder<KvTensor>();
        for (var group = 0; group < layout.GroupCount; group++)
        {
            var shape = layout.ShapeOf(group);
            var blocks = geometry.SlotsOf(group).EndBlockOf(new PageId(geometry.VirtualPageCounts[group] - 1));
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                for (var buffer = 0; buffer < shape.BufferCount; buffer++)
                {
                    var offset = layout.OffsetOf(group, new BlockId(0), layer, buffer);
                    var stride = layout.OffsetOf(group, new BlockId(1), layer, buffer) - offset;
                    tensors.Add(new KvTensor(group, shape.Name, layer, buffer, offset, shape.BlockBytes, stride, blocks, shape.TokensPerBlock));
                }
            }
        }

        return tensors.ToImmutable();
    }
}
