using Kvcached.Client;
using Kvcached.Core.Checking;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;

namespace Kvcached.EngineProbe;

/// <summary>What a worker process can be told. One arena, in main memory or on a GPU; what it holds can be written and checked in main memory.</summary>
internal sealed class WorkerCommands : IDisposable
{
    private FaultInjectingVirtualMemory? _memory;
    private KvArena? _arena;
    private HangingCall? _hanging;

    public WorkerCommands(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands)
    {
        commands["attach"] = Attach;
        commands["write"] = Write;
        commands["verify"] = Verify;
        commands["count-dirty"] = command => ProbeAnswer.Ok.With("dirty", Lanes(command).Count(lane => lane.Bytes.Span.ContainsAnyExcept((byte)0)));
        commands["step-done"] = command =>
        {
            _arena!.StepDone(new EngineStep(command.Number("step")));
            return ProbeAnswer.Ok;
        };
        commands["fail"] = Fail;
        commands["heal"] = _ =>
        {
            _memory!.Heal();
            return ProbeAnswer.Ok.With("calls", _memory.TotalCallCount);
        };
        commands["hanging"] = _ => ProbeAnswer.Ok.With("hangs", _hanging is { Reached.IsCompleted: true });
        commands["release"] = _ =>
        {
            _memory!.Heal();
            _hanging?.Release();
            return ProbeAnswer.Ok.With("calls", _memory.TotalCallCount);
        };
        commands["arena"] = _ => Describe();
        commands["detach"] = command => Detach(command);
    }

    public void Dispose()
    {
        _hanging?.Release();
        _arena?.Dispose();
        _memory?.Dispose();
    }

    private ProbeAnswer Attach(ProbeCommand command)
    {
        var gpu = GpuId.Parse(command.Text("gpu"));
        if (_memory is null)
        {
            if (!VirtualMemoryFactory.TryOpen(new VirtualMemoryRequest { Gpu = gpu }, out var memory, out var problem))
            {
                return ProbeAnswer.Failed(problem.Reason.ToString(), problem.Text);
            }

            _memory = new FaultInjectingVirtualMemory(memory, TimeProvider.System);
        }

        var attached = KvArena.Attach(new KvAttachOptions
        {
            SocketPath = command.Text("socket"),
            PoolName = command.Text("pool"),
            Rank = (int)command.Number("rank"),
            Device = gpu,
            Memory = _memory,
            AttachTimeout = command.Seconds("timeout", 30),
        });
        _arena = attached.Value;
        return attached.Value is null ? ProbeAnswer.Of(attached.Refusal) : Describe();
    }

    /// <summary>A call of its driver that goes wrong, counted from now on.</summary>
    private ProbeAnswer Fail(ProbeCommand command)
    {
        if (!NamedFault.TryParse(command.Text("fault"), out var fault))
        {
            throw new ArgumentException($"fault={command.Text("fault")} isn't {NamedFault.Allowed}.", nameof(command));
        }

        _hanging = fault.Plan(_memory!);
        return ProbeAnswer.Ok.With("calls", _memory!.TotalCallCount);
    }

    private ProbeAnswer Describe()
    {
        var stats = _arena!.GetStats();
        return ProbeAnswer.Ok.With("base", (long)_arena.BaseAddress).With("poolId", _arena.Pool.Value).With("pages", stats.Pages)
            .With("extents", stats.Extents).With("leaving", stats.LeavingExtents).With("descriptors", stats.Descriptors)
            .With("digest", stats.Digest.ToString()).With("attached", _arena.IsAttached).With("connections", stats.Connections)
            .With("gone", _arena.Gone?.ToString());
    }

    private ProbeAnswer Write(ProbeCommand command)
    {
        foreach (var (bytes, key) in Lanes(command))
        {
            StampWriter.Write(bytes.Span, key, isWhole: true);
        }

        return ProbeAnswer.Ok;
    }

    private ProbeAnswer Verify(ProbeCommand command)
    {
        var corrupt = 0;
        string? first = null;
        foreach (var (bytes, key) in Lanes(command))
        {
            if (StampVerifier.Verify(bytes.Span, key, isWhole: true).First is { } mismatch)
            {
                corrupt++;
                first ??= mismatch.ToString();
            }
        }

        return ProbeAnswer.Ok.With("corrupt", corrupt).With("first", first);
    }

    private IEnumerable<(ArenaBytes Bytes, LaneKey Key)> Lanes(ProbeCommand command)
    {
        var arena = _arena!;
        if (arena.Gone is { } gone)
        {
            throw new InvalidOperationException($"The pool is gone: {gone}");
        }

        var stamps = StampKey.Of(arena.Pool, arena.Rank, 0);
        var blockBytes = (int)arena.Layout.ShapeOf(0).BlockBytes;
        var lanes = StampLane.Of(arena.Layout, 0);
        var blocks = command.Numbers("blocks");
        var versions = command.Numbers("versions");
        for (var index = 0; index < blocks.Length; index++)
        {
            // One version each, or the same for all.
            var version = versions.Length > 0 ? (uint)versions[index] : (uint)command.Number("version", 0);
            var block = new BlockId(blocks[index]);
            foreach (var lane in lanes)
            {
                yield return (new ArenaBytes(arena.BaseAddress + (nint)lane.OffsetOf(block), blockBytes), stamps.LaneOf(block, version, lane.Layer, lane.Buffer));
            }
        }
    }

    private ProbeAnswer Detach(ProbeCommand command)
    {
        if (_arena is null)
        {
            return ProbeAnswer.Ok;
        }

        var refusal = _arena.Detach(command.Seconds("deadline", 30));
        _arena.Dispose();
        _arena = null;
        return ProbeAnswer.Of(refusal);
    }

    /// <summary>Part of the arena, as engine code sees it: an address and a length.</summary>
    private readonly record struct ArenaBytes(nint Address, int ByteCount)
    {
        public unsafe Span<byte> Span => new((void*)Address, ByteCount);
    }
}
