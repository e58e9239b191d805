using System.Collections.Immutable;
using Kvcached.Actors.Workers;
using Kvcached.Core.Ids;
using Kvcached.Core.Replication;
using Kvcached.Gpu.Pools;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// A host that was killed and started again, until it knows what its workers have kept: each has to hand its extents over, or to end. Until then the rank creates
/// nothing and reports nothing, since absent doesn't mean unmapped.
/// </summary>
internal sealed class RankRecovery
{
    private readonly RankState _state;
    private readonly TimeProvider _time;
    private readonly TimeSpan _unseenWindow;
    private readonly List<Expected> _expected = [];
    private readonly List<PoolId> _adopted = [];
    private readonly long _startedAt;

    /// <param name="state">The rank, with nothing in it yet.</param>
    /// <param name="unseenWindow">How long a worker may take whose process can't be seen from here.</param>
    /// <param name="time">The clock.</param>
    public RankRecovery(RankState state, TimeSpan unseenWindow, TimeProvider time)
    {
        (_state, _unseenWindow, _time) = (state, unseenWindow, time);
        _startedAt = time.GetTimestamp();
    }

    /// <summary>A worker that is waited for.</summary>
    /// <param name="Process">The worker and its pool.</param>
    /// <param name="Descriptor">Of its process; null when that can't be seen from here.</param>
    private sealed record Expected(AttachedProcess Process, SafeFileHandle? Descriptor);

    public bool IsOver => _expected.Count == 0;

    /// <summary>For people: who is waited for; empty when it is over.</summary>
    public string Awaited => string.Join(", ", _expected.Select(e =>
        $"process {(e.Process.Process.ProcessId == 0 ? "of another namespace" : $"{e.Process.Process.ProcessId}")}, worker of rank {e.Process.Rank} of pool '{e.Process.Spec.Name}'"));

    /// <summary>Opens the pools of workers that live, empty. What no living worker holds is gone already.</summary>
    /// <returns>Sentences about pools that could not be opened.</returns>
    public ImmutableArray<string> Begin(ImmutableArray<AttachedProcess> processes)
    {
        var problems = ImmutableArray.CreateBuilder<string>();
        foreach (var process in processes)
        {
            if (!TryFind(process.Process, out var descriptor))
            {
                continue;
            }

            // Its floor is memory to be created, which comes later.
            switch (_state.Pages.Open(process.Pool, process.Spec.Geometry, process.Rank, floorBytes: 0, isMappedHere: false))
            {
                case OpenRankPoolResult.Opened opened:
                    var seat = new WorkerSeat();
                    seat.Expect(process.Worker, process.Process);
                    _state.Add(new RankPoolState(
                        opened.Pool, new PoolReplica(process.Pool, process.Rank, process.Spec, process.Owner, process.Epoch), seat));
                    _state.HighestEpoch = process.Epoch > _state.HighestEpoch ? process.Epoch : _state.HighestEpoch;
                    _expected.Add(new Expected(process, descriptor));
                    break;
                case OpenRankPoolResult.Refused refused:
                    descriptor?.Dispose();
                    problems.Add($"What the worker of pool '{process.Spec.Name}' holds can't be taken over: {refused.Text}");
                    break;
            }
        }

        return problems.ToImmutable();
    }

    /// <summary>The pool's worker has handed over what it holds.</summary>
    public void Adopted(PoolId pool)
    {
        if (Remove(pool))
        {
            _adopted.Add(pool);
        }
    }

    /// <summary>Looks for workers that have ended instead; their pools are gone from this rank.</summary>
    /// <returns>These pools.</returns>
    public ImmutableArray<PoolId> TakeEnded()
    {
        ImmutableArray<PoolId> ended = [.. _expected.Where(HasEnded).Select(e => e.Process.Pool)];
        foreach (var pool in ended)
        {
            Remove(pool);
            _state.Pages.Close(pool);
            _state.Remove(pool);
        }

        return ended;
    }

    /// <summary>Once it is over: creates what floors are to hold beyond what was taken over.</summary>
    public void RestoreFloors()
    {
        foreach (var pool in _adopted)
        {
            if (_state.Pools.TryGetValue(pool, out var known))
            {
                _state.Pages.TrySetFloor(pool, _state.Policies.FloorOf(known.Replica.Spec, _state.Pages.Gpu, _state.Pages.CapacityBytes), out _);
            }
        }
    }

    private bool HasEnded(Expected expected) => expected.Descriptor is { } descriptor
        ? ProcessDescriptor.HasEnded(descriptor)
        : _time.GetElapsedTime(_startedAt) > _unseenWindow;

    private bool Remove(PoolId pool)
    {
        var index = _expected.FindIndex(e => e.Process.Pool == pool);
        if (index < 0)
        {
            return false;
        }

        _expected[index].Descriptor?.Dispose();
        _expected.RemoveAt(index);
        return true;
    }

    private static bool TryFind(ProcessIdentity process, out SafeFileHandle? descriptor)
    {
        descriptor = ProcessDescriptor.OfProcess(process.ProcessId);
        if (process.ProcessId == 0)
        {
            return true;
        }

        // Compared once it can't come to be another's any more.
        if (descriptor is not null && ProcessIdentity.Of(process.ProcessId) == process)
        {
            return true;
        }

        descriptor?.Dispose();
        return false;
    }
}
