using Kvcached.Client.Native.Abi;
using Kvcached.Client.Native.Events;

namespace Kvcached.Client.Native;

/// <summary>All that has a handle in this process.</summary>
internal static class Handles
{
    public static HandleTable Table { get; } = new();
}

/// <summary>What has events.</summary>
internal interface IEventSource
{
    EventSink Events { get; }
}

/// <summary>A session behind a handle, and the handles of its pools.</summary>
internal sealed class OpenSession(KvSession session)
{
    private readonly HashSet<ulong> _pools = [];
    private bool _isClosed;

    public KvSession Session { get; } = session;

    /// <summary>Notes a pool of this session; false when the session was closed meanwhile.</summary>
    public bool TryAdd(ulong pool)
    {
        lock (_pools)
        {
            return !_isClosed && _pools.Add(pool);
        }
    }

    public void Forget(ulong pool)
    {
        lock (_pools)
        {
            _pools.Remove(pool);
        }
    }

    /// <summary>The pools that end with the session; no more can be added.</summary>
    public ulong[] TakePools()
    {
        lock (_pools)
        {
            _isClosed = true;
            return [.. _pools];
        }
    }
}

/// <summary>A pool behind a handle.</summary>
internal sealed class OpenPool : IEventSource
{
    public OpenPool(KvPool pool, OpenSession session)
    {
        (Pool, Session, GroupCount) = (pool, session, pool.GroupCount);
        pool.Evicted += (group, block, tag) =>
        {
            var happened = new AbiEvent { Kind = EventKind.Evicted, Group = group, Block = block.Value };
            happened.Tag.Set(tag);
            Events.Publish(happened);
        };
        pool.ShrinkAsked += asked =>
            Events.Publish(new AbiEvent { Kind = EventKind.Shrink, AskedPages = asked.AskedPages, GivenUpPages = asked.GivenUpPages, DeadlineMs = (long)asked.Deadline.TotalMilliseconds });
        pool.WithdrawnByDomain += refusal =>
            Events.Publish(new AbiEvent { Kind = EventKind.Withdrawn, Status = (int)StatusOf.Refusal(refusal.Reason) });
    }

    public KvPool Pool { get; }

    public OpenSession Session { get; }

    public int GroupCount { get; }

    public EventSink Events { get; } = new();
}

/// <summary>An arena behind a handle.</summary>
internal sealed class OpenArena : IEventSource
{
    public OpenArena(KvArena arena)
    {
        Arena = arena;
        arena.PoolGone += refusal => Events.Publish(new AbiEvent { Kind = EventKind.PoolGone, Status = (int)StatusOf.Refusal(refusal.Reason) });
    }

    public KvArena Arena { get; }

    public EventSink Events { get; } = new();
}
