using Kvcached.Copier.Working;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Memory;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Serving;

/// <summary>Carries out requests, one at a time. What it refuses changes nothing.</summary>
internal sealed class RequestHandler(IVirtualMemory memory, IBlockWorker worker)
{
    /// <summary>Requests that a caller may have under way.</summary>
    public const int MaxOutstanding = 32;

    /// <summary>Most pools at a time.</summary>
    public const int MaxPools = 1024;

    private readonly Dictionary<PoolId, PoolArena> _arenas = [];
    private bool _isOpen;

    /// <summary>The arena of an attached pool.</summary>
    public PoolArena? ArenaOf(PoolId pool) => _arenas.GetValueOrDefault(pool);

    /// <summary>Carries out a request.</summary>
    /// <param name="request">What to do.</param>
    /// <param name="descriptors">All descriptors of a mapping; they stay the caller's.</param>
    public IReply Handle(IRequest request, IReadOnlyList<SafeFileHandle> descriptors)
    {
        if (!_isOpen && request is not (Hello or Exit))
        {
            return new Refused(CopierRefusal.OutOfTurn, "The first request must be a hello.");
        }

        return request switch
        {
            Hello hello => Open(hello),
            Attach attach => AttachPool(attach),
            Map map => WithPool(map.Pool, arena => arena.Map(map.Extent, descriptors)),
            Drop drop => WithPool(drop.Pool, arena => arena.Drop(drop.Extent)),
            Stamp stamp => WithPool(stamp.Pool, arena => StampBlocks(arena, stamp)),
            Verify verify => WithPool(verify.Pool, arena => VerifyBlocks(arena, verify)),
            Checksum checksum => WithPool(checksum.Pool, arena => Sum(arena, checksum.Extent)),
            Detach detach => WithPool(detach.Pool, _ => DetachPool(detach.Pool)),
            Exit => CloseAll(),
            _ => throw new ArgumentOutOfRangeException(nameof(request), request, "No such request."),
        };
    }

    /// <summary>Lets go of everything.</summary>
    public Done CloseAll()
    {
        foreach (var pool in _arenas.Keys.ToArray())
        {
            DetachPool(pool);
        }

        return new Done();
    }

    private IReply Open(Hello hello)
    {
        if (_isOpen)
        {
            return new Refused(CopierRefusal.OutOfTurn, "The conversation is open already.");
        }

        if (hello.Version != CopierProtocol.Version)
        {
            return new Refused(
                CopierRefusal.VersionMismatch,
                $"The host speaks version {hello.Version}, this copier version {CopierProtocol.Version}; install the same release of both.");
        }

        if (hello.Backend != BackendOf(memory) || hello.Gpu != memory.Gpu)
        {
            return new Refused(
                CopierRefusal.WrongDevice, $"The host lends {hello.Backend} memory of {hello.Gpu}; this copier was started for {memory.Backend} on {memory.Gpu}.");
        }

        _isOpen = true;
        return new HelloAccepted(Environment.ProcessId, MaxOutstanding, memory.GranularityBytes);
    }

    private IReply AttachPool(Attach attach)
    {
        if (_arenas.ContainsKey(attach.Pool))
        {
            return new Refused(CopierRefusal.PoolAttached, $"{attach.Pool} is attached already.");
        }

        if (_arenas.Count >= MaxPools)
        {
            return new Refused(CopierRefusal.TooManyPools, $"{_arenas.Count} pools are attached; detach one first.");
        }

        if (GeometryRules.FindProblem(attach.Geometry, memory.GranularityBytes) is { } problem)
        {
            return new Refused(CopierRefusal.BadGeometry, problem);
        }

        var shape = attach.Geometry.Ranks[0];
        if (shape.Gpu != memory.Gpu)
        {
            return new Refused(CopierRefusal.WrongDevice, $"Rank {attach.Rank} of {attach.Pool} is on {shape.Gpu}; this copier works on {memory.Gpu}.");
        }

        if (shape.Groups.FirstOrDefault(g => g.BlockBytes > worker.MaxBlockBytes) is { } large)
        {
            return new Refused(
                CopierRefusal.BadGeometry, $"KV group '{large.Name}' has blocks of {large.BlockBytes} bytes; this backend works on at most {worker.MaxBlockBytes}.");
        }

        try
        {
            _arenas.Add(attach.Pool, PoolArena.Reserve(memory, attach));
            return new Done();
        }
        catch (VirtualMemoryException failure)
        {
            return PoolArena.Explain(failure, $"The arena of {attach.Pool}");
        }
    }

    private Done DetachPool(PoolId pool)
    {
        _arenas[pool].Close();
        _arenas.Remove(pool);
        return new Done();
    }

    private Refused? StampBlocks(PoolArena arena, Stamp stamp)
    {
        var (work, refusal) = arena.Prepare(stamp.Group, stamp.Stamps);
        if (work is not null && work.Stamps.Length > 0)
        {
            worker.Stamp(work);
        }

        return refusal;
    }

    private IReply VerifyBlocks(PoolArena arena, Verify verify)
    {
        var (work, refusal) = arena.Prepare(verify.Group, verify.Stamps);
        if (work is null)
        {
            return refusal!;
        }

        return new Verified(work.Stamps.IsEmpty ? VerifyReport.Empty : worker.Verify(work));
    }

    private IReply Sum(PoolArena arena, Extent extent)
    {
        var (mapped, refusal) = arena.Find(extent);
        if (mapped is null)
        {
            return refusal!;
        }

        var sum = default(ExtentChecksum);
        long words = 0;
        foreach (var unit in arena.Layout.UnitsOf(extent.Group))
        {
            var byteCount = unit.BytesOf(extent);
            sum = worker.Add(sum, arena.BaseAddress + (nint)unit.OffsetOf(extent), byteCount, words);
            words += byteCount / StampPlaces.WordBytes;
        }

        return new Summed(sum);
    }

    private IReply WithPool(PoolId pool, Func<PoolArena, IReply?> act) =>
        _arenas.TryGetValue(pool, out var arena)
            ? act(arena) ?? new Done()
            : new Refused(CopierRefusal.UnknownPool, $"{pool} isn't attached.");

    private static CopierBackend BackendOf(IVirtualMemory memory) => memory.Backend == "cuda" ? CopierBackend.Cuda : CopierBackend.Host;
}
