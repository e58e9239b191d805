using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Protocols;

/// <summary>What operators ask of the coordinator, through the management of any host.</summary>
public static class OperatorProtocol
{
    public interface ICommand;

    public interface IReply;

    /// <summary>
    /// Changes what a pool may have, for it and for later pools of its name. Replies: <see cref="PolicyChanged"/>, or <see cref="OperatorRefused"/> when there
    /// is no such pool or the change can't be carried out; nothing has changed then.
    /// </summary>
    /// <param name="Pool">Its id or name.</param>
    /// <param name="Change">What changes.</param>
    public sealed record ChangePolicy(string Pool, PolicyChange Change) : ICommand
    {
        /// <summary>On which of its GPUs limit and floor change, by id or the beginning of it; empty = on all for which nothing of their own is laid down.</summary>
        public ImmutableArray<string> Gpus { get; init; } = [];
    }

    /// <summary>A change was judged.</summary>
    /// <param name="Pool">The pool.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="Outcome">What became of it.</param>
    /// <param name="Revision">Number of the change that is in force now.</param>
    /// <param name="Policy">What is laid down now; null when nothing is.</param>
    /// <param name="OnGpus">The pool's accounts as they are now.</param>
    public sealed record PolicyChanged(
        PoolId Pool, string Name, PolicyOutcome Outcome, long Revision, PoolPolicy? Policy, ImmutableArray<DomainProtocol.PoolOnGpu> OnGpus) : IReply
    {
        /// <summary>Hosts that had it on disk when this was told.</summary>
        public int KeptByHosts { get; init; }

        /// <summary>Hosts that are to keep it.</summary>
        public int HostCount { get; init; }
    }

    /// <summary>
    /// Asks a pool for extents without a used block beyond its floor, idle longest first. Replies: <see cref="PoolTrimmed"/> when its engine has answered, or
    /// <see cref="OperatorRefused"/>.
    /// </summary>
    /// <param name="Pool">Its id or name.</param>
    /// <param name="ByteCount">At least so much on each GPU, as far as there is; 0 = all.</param>
    public sealed record TrimPool(string Pool, long ByteCount) : ICommand;

    /// <param name="Pool">The pool.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="AskedBytes">What its engine was asked for, on the GPU where that is most.</param>
    /// <param name="GivenBytes">What it gave up, on that GPU.</param>
    public sealed record PoolTrimmed(PoolId Pool, string Name, long AskedBytes, long GivenBytes) : IReply;

    /// <summary>
    /// Has a GPU drained, so that its host can be stopped: nothing new is opened or granted there, and warm extents are given back; or ends that. Asked again, it tells how far it is.
    /// Replies: <see cref="GpuDrained"/>, or <see cref="OperatorRefused"/>.
    /// </summary>
    /// <param name="Gpu">Its id, or the beginning of it where that is only one's.</param>
    /// <param name="IsDraining">False ends it.</param>
    public sealed record DrainGpu(string Gpu, bool IsDraining) : ICommand;

    /// <param name="Gpu">The GPU.</param>
    /// <param name="IsDraining">True while it is being drained.</param>
    /// <param name="IsQuiet">True when nothing is under way there any more: its host may be stopped.</param>
    /// <param name="Pools">The pools on it.</param>
    public sealed record GpuDrained(GpuId Gpu, bool IsDraining, bool IsQuiet, ImmutableArray<DrainedPool> Pools) : IReply;

    /// <summary>What has happened since, as far as it is remembered. Reply: <see cref="EventsRead"/>.</summary>
    /// <param name="Epoch">Epoch of the coordinator whose events were read last; default for none.</param>
    /// <param name="After">Number of the last one read.</param>
    public sealed record ReadEvents(Epoch Epoch, long After) : ICommand;

    /// <param name="Epoch">The coordinator's epoch; its numbers begin anew with it.</param>
    /// <param name="Events">In order, at most a few hundred at a time.</param>
    /// <param name="LastSerial">Number of the last event that there is.</param>
    public sealed record EventsRead(Epoch Epoch, ImmutableArray<DomainEvent> Events, long LastSerial) : IReply;

    /// <summary>The command can't be carried out; nothing has changed.</summary>
    public sealed record OperatorRefused(Refusal Refusal) : IReply;
}

/// <summary>What became of a change.</summary>
public enum PolicyOutcome : byte
{
    /// <summary>It is in force, and the pool is within it.</summary>
    Applied = 1,

    /// <summary>It is in force, and the pool holds more than its limit: nothing is granted to it, and it is asked to shrink.</summary>
    Deferred = 2,

    /// <summary>A later change is in force; this one has no effect.</summary>
    Stale = 3,

    /// <summary>Another change has that very number; this one has no effect.</summary>
    Conflict = 4,
}

/// <summary>A pool on a GPU that is being drained.</summary>
/// <param name="Name">Its name.</param>
/// <param name="HeldBytes">What it holds there.</param>
/// <param name="IsKept">True when its workers keep that while the host is away; false when it is gone with the host.</param>
/// <param name="Awaited">For people: what is still under way; empty when nothing is.</param>
public sealed record DrainedPool(string Name, long HeldBytes, bool IsKept, string Awaited);

/// <summary>Something that happened in the domain, for people.</summary>
/// <param name="Serial">Its number in the epoch, from 1.</param>
/// <param name="AgeMilliseconds">How long ago, when it was read.</param>
/// <param name="Kind">One of <see cref="DomainEventKinds"/>.</param>
/// <param name="Pool">Name of the pool; empty when it is about none.</param>
/// <param name="Gpu">The GPU; empty when it is about none, or several.</param>
/// <param name="Detail">A sentence.</param>
public sealed record DomainEvent(long Serial, long AgeMilliseconds, string Kind, string Pool, string Gpu, string Detail);

/// <summary>The kinds of events; a closed list, so that they can be labels.</summary>
public static class DomainEventKinds
{
    public const string CoordinatorStarted = "coordinator-started";
    public const string HostJoined = "host-joined";
    public const string HostLost = "host-lost";
    public const string PoolOpened = "pool-opened";
    public const string PoolClosed = "pool-closed";
    public const string PolicyChanged = "policy-changed";
    public const string LimitReached = "limit-reached";
    public const string ShrinkRequested = "shrink-requested";
    public const string Trimmed = "trimmed";
    public const string Draining = "draining";
    public const string DeviceShort = "device-short";
    public const string DeviceEased = "device-eased";
    public const string Warning = "warning";

    public static IReadOnlyList<string> All { get; } =
    [
        CoordinatorStarted, HostJoined, HostLost, PoolOpened, PoolClosed, PolicyChanged, LimitReached, ShrinkRequested, Trimmed, Draining, DeviceShort, DeviceEased, Warning,
    ];
}
