using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Gpu.HostMemory;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.TestHost;

/// <summary>All hosts of a domain in one: sessions, pools and ranks, under one lock. Grants what there is memory for.</summary>
internal sealed class TestDomain(HostVirtualMemory[] gpus)
{
    private static readonly TimeSpan s_lease = TimeSpan.FromSeconds(15);
    private readonly Lock _lock = new();
    private readonly Dictionary<string, TestPool> _pools = new(StringComparer.Ordinal);
    private readonly Dictionary<(SessionId, RequestId), EngineProtocol.IReply?> _answers = [];
    private int _lastPool;
    private long _lastRevoke;

    public void Received(int gpu, Peer peer, object message, List<SafeFileHandle> descriptors)
    {
        lock (_lock)
        {
            if (message is EngineProtocol.IRequest asked && !_answers.TryAdd((asked.Session, asked.Request), null))
            {
                // Asked again because the answer was slow: it comes, or came.
                if (_answers[(asked.Session, asked.Request)] is { } answer)
                {
                    peer.Say(answer);
                }

                return;
            }

            switch (message)
            {
                case SocketProtocol.Hello:
                    descriptors.ForEach(descriptor => descriptor.Dispose());
                    peer.Say(new SocketProtocol.Welcome(
                        1, new HostIncarnation(1), gpus[gpu].Gpu, "default", "host", gpus[gpu].GranularityBytes, "test host"));
                    break;
                case EngineProtocol.OpenSession open when open.Domain != "default":
                    peer.Say(new EngineProtocol.SessionRefused(open.Session, new Refusal(RefusalReason.UnknownDomain, "This is domain 'default'.")));
                    break;
                case EngineProtocol.OpenSession open:
                    peer.Owner = open.Session;
                    peer.Say(new EngineProtocol.SessionOpened(open.Session, new Epoch(1, 1), s_lease));
                    break;
                case EngineProtocol.CloseSession close:
                    foreach (var pool in _pools.Values.Where(pool => pool.Session == close.Session).ToArray())
                    {
                        End(pool, new Refusal(RefusalReason.UnknownPool, "The pool was closed."));
                    }

                    peer.Say(new EngineProtocol.SessionClosed(close.Session));
                    break;
                case EngineProtocol.OpenPool open:
                    Open(peer, open);
                    break;
                case EngineProtocol.ClosePool close when Find(close.Pool) is { } pool:
                    End(pool, new Refusal(RefusalReason.UnknownPool, "The pool was closed."));
                    Answer(peer, new EngineProtocol.PoolClosed(close.Session, close.Request, close.Pool));
                    break;
                case EngineProtocol.AllocatePages allocate when Find(allocate.Pool) is { } pool:
                    Allocate(peer, allocate, pool);
                    break;
                case EngineProtocol.FreeExtents free when Find(free.Pool) is { } pool:
                    Unmap(pool, free.Extents, free.Fence, () => Answer(peer, new EngineProtocol.ExtentsFreed(free.Session, free.Request, free.Pool)));
                    break;
                case EngineProtocol.RevokeAnswered answer when Find(answer.Pool) is { } pool && answer.GivenUp.Length > 0:
                    Unmap(pool, answer.GivenUp, answer.Fence, () => { });
                    break;
                case EngineProtocol.IRequest request:
                    Refuse(peer, request, RefusalReason.UnknownPool, "There is no such pool.");
                    break;
                case SocketProtocol.KeepTags keep when Find(keep.Pool) is { } pool:
                    pool.Tags?.Dispose();
                    (pool.Tags, pool.TagBytes) = (descriptors[0], keep.FileBytes);
                    break;
                case WorkerProtocol.AttachRank attach:
                    Attach(peer, attach);
                    break;
                case WorkerProtocol.OperationDone done when peer.Owner is Rank rank:
                    rank.Answered(done);
                    break;
                case WorkerProtocol.Detach when peer.Owner is Rank rank && rank.Worker == peer:
                    rank.Worker = null;
                    break;
            }
        }
    }

    public void Ended(Peer peer)
    {
        lock (_lock)
        {
            if (peer.Owner is Rank rank && rank.Worker == peer)
            {
                rank.Worker = null;
            }
            else if (peer.Owner is SessionId session)
            {
                foreach (var pool in _pools.Values.Where(pool => pool.Session == session))
                {
                    pool.Scheduler = null; // its memory stays, for whoever opens it next
                }
            }
        }
    }

    /// <summary>Does what a test asks for; answers one line.</summary>
    public string Do(string command)
    {
        lock (_lock)
        {
            var words = command.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 2 || !_pools.TryGetValue(words[1], out var pool))
            {
                return "no such pool";
            }

            switch (words[0])
            {
                case "revoke":
                    pool.Scheduler?.Say(new EngineProtocol.RevokeExtents(
                        pool.Session, pool.Id, ++_lastRevoke, [.. pool.Allocators.SelectMany(allocator => allocator.Granted)]));
                    return "asked";
                case "withdraw":
                    pool.Scheduler?.Say(new EngineProtocol.PoolWithdrawn(pool.Session, pool.Id, new Refusal(RefusalReason.PoolLost, "A rank's memory is lost.")));
                    End(pool, new Refusal(RefusalReason.PoolLost, "A rank's memory is lost."));
                    return "withdrawn";
                case "bytes":
                    return string.Join(' ', pool.Ranks.Select(rank => rank.LentBytes));
                default:
                    return "no such command";
            }
        }
    }

    private TestPool? Find(PoolId id) => _pools.Values.FirstOrDefault(pool => pool.Id == id);

    private void Answer(Peer peer, EngineProtocol.IReply reply)
    {
        _answers[(reply.Session, reply.Request)] = reply;
        peer.Say(reply);
    }

    private void Refuse(Peer peer, EngineProtocol.IRequest request, RefusalReason reason, string detail) =>
        Answer(peer, new EngineProtocol.RequestRefused(request.Session, request.Request, new Refusal(reason, detail)));

    private void Open(Peer peer, EngineProtocol.OpenPool open)
    {
        var spec = open.Spec;
        if (GeometryRules.FindProblem(spec.Geometry, gpus[0].GranularityBytes) is { } problem)
        {
            Refuse(peer, open, RefusalReason.BadGeometry, problem);
            return;
        }

        var missing = spec.Geometry.Ranks.Select(rank => rank.Gpu).FirstOrDefault(gpu => gpus.All(known => known.Gpu != gpu));
        if (missing != default)
        {
            Refuse(peer, open, RefusalReason.UnknownGpu, $"Nobody lends {missing}.");
            return;
        }

        if (!_pools.TryGetValue(spec.Name, out var pool))
        {
            pool = new TestPool(PoolId.Create(1, ++_lastPool), spec, gpus);
            _pools.Add(spec.Name, pool);
        }
        else if (pool.Scheduler is not null || pool.Spec.Geometry != spec.Geometry)
        {
            Refuse(peer, open, RefusalReason.NameInUse, $"Pool '{spec.Name}' is open.");
            return;
        }

        (pool.Session, pool.Scheduler) = (open.Session, peer);
        if (pool.Tags is not null)
        {
            peer.Say(new SocketProtocol.PoolTags(open.Session, pool.Id, pool.TagBytes), pool.Tags);
        }

        Answer(peer, new EngineProtocol.PoolOpened(
            open.Session, open.Request, pool.Id, [.. pool.Allocators.SelectMany(allocator => allocator.Granted)]));
    }

    private void Allocate(Peer peer, EngineProtocol.AllocatePages allocate, TestPool pool)
    {
        if (pool.Ranks.Any(rank => rank.Worker is null))
        {
            Refuse(peer, allocate, RefusalReason.NotAttached, "A rank has no worker attached.");
            return;
        }

        var limit = pool.Spec.LimitBytes;
        var shapes = pool.Spec.Geometry.Ranks.Select(rank => rank.Groups[allocate.Group].BytesPerPageId * allocate.PageCount).ToArray();
        if (limit > 0 && pool.Ranks.Zip(shapes).Any(pair => pair.First.LentBytes + pair.Second > limit))
        {
            Refuse(peer, allocate, RefusalReason.LimitExceeded, $"Pool '{pool.Spec.Name}' would exceed its limit of {limit} bytes.");
            return;
        }

        var granted = pool.Allocators[allocate.Group].TryAllocate(allocate.PageCount, maxOrder: 3);
        if (!granted.IsGranted)
        {
            Refuse(peer, allocate, RefusalReason.VirtualSpaceExhausted, $"{granted.FreePageCount} page ids are free.");
            return;
        }

        var waiting = pool.Ranks.Length;
        string? problem = null;
        foreach (var rank in pool.Ranks)
        {
            var isMapped = rank.TryMap(granted.Extents, failed =>
            {
                problem ??= failed;
                if (--waiting == 0 && problem is null)
                {
                    Answer(peer, new EngineProtocol.PagesAllocated(allocate.Session, allocate.Request, allocate.Pool, granted.Extents));
                }
                else if (waiting == 0)
                {
                    Refuse(peer, allocate, RefusalReason.DriverFailed, problem!);
                }
            });
            if (!isMapped)
            {
                throw new InvalidOperationException("The test host has too little memory for this test; give it more with --memory.");
            }
        }
    }

    private static void Unmap(TestPool pool, IReadOnlyList<Extent> named, EngineStep fence, Action done)
    {
        // What an engine gives up when asked it names twice: in a return, which is sent until it is answered, and in its answer.
        Extent[] extents = [.. named.Where(pool.Ranks[0].Holds)];
        if (extents.Length == 0)
        {
            done();
            return;
        }

        var waiting = pool.Ranks.Length;
        foreach (var rank in pool.Ranks)
        {
            rank.Unmap(extents, fence, problem =>
            {
                if (problem is not null)
                {
                    Console.Error.WriteLine(problem);
                }

                if (--waiting == 0)
                {
                    foreach (var extent in extents)
                    {
                        pool.Allocators[extent.Group].Return(extent);
                    }

                    done();
                }
            });
        }
    }

    private void Attach(Peer peer, WorkerProtocol.AttachRank attach)
    {
        if (!_pools.TryGetValue(attach.PoolName, out var pool) || attach.Rank >= pool.Ranks.Length)
        {
            peer.Say(new WorkerProtocol.AttachRefused(new Refusal(RefusalReason.UnknownPool, $"Pool '{attach.PoolName}' isn't open.")));
            return;
        }

        var rank = pool.Ranks[attach.Rank];
        if (rank.Worker is not null)
        {
            peer.Say(new WorkerProtocol.AttachRefused(new Refusal(RefusalReason.AlreadyAttached, $"Rank {attach.Rank} has a worker.")));
            return;
        }

        peer.Owner = rank;
        peer.Say(new WorkerProtocol.RankAttached(pool.Id, attach.Rank, pool.Spec));
        rank.Worker = peer;
        rank.Install(problem =>
        {
            if (problem is null)
            {
                peer.Say(WorkerProtocol.TableComplete.Instance);
            }
        });
    }

    private void End(TestPool pool, Refusal why)
    {
        _pools.Remove(pool.Spec.Name);
        pool.Tags?.Dispose();
        foreach (var rank in pool.Ranks)
        {
            rank.Worker?.Say(new WorkerProtocol.PoolGone(why));
            rank.ReleaseAll();
        }
    }
}
