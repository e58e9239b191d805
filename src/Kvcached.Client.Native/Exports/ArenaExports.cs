using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Ids;

namespace Kvcached.Client.Native.Exports;

/// <summary>A worker's memory; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class ArenaExports
{
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_attach_rank", CallConvs = [typeof(CallConvCdecl)])]
    public static int Attach(AbiAttachOptions* options, ulong* arena)
    {
        try
        {
            if (arena == null)
            {
                return Failure.NullPointer("arena");
            }

            if (!OptionsReader.TryRead(options, out var read, out var problem))
            {
                return Failure.Argument(problem);
            }

            var attached = KvArena.Attach(read);
            if (!attached.IsGranted)
            {
                return Failure.Because(attached.Refusal);
            }

            *arena = Handles.Table.Add(new OpenArena(attached.Value));
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_arena_get_info", CallConvs = [typeof(CallConvCdecl)])]
    public static int Info(ulong arena, AbiArenaInfo* info)
    {
        try
        {
            if (Handles.Table.Find<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            if (info == null)
            {
                return Failure.NullPointer("info");
            }

            *info = new AbiArenaInfo
            {
                BaseAddress = (ulong)target.Arena.BaseAddress,
                ByteCount = target.Arena.ByteCount,
                IsHostAccessible = target.Arena.IsHostAccessible ? 1 : 0,
                Rank = target.Arena.Rank,
                GroupCount = target.Arena.Layout.GroupCount,
                TensorCount = target.Arena.Tensors.Length,
            };
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_arena_tensor", CallConvs = [typeof(CallConvCdecl)])]
    public static int Tensor(ulong arena, int index, AbiTensor* tensor)
    {
        try
        {
            if (Handles.Table.Find<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            var tensors = target.Arena.Tensors;
            if (tensor == null || (uint)index >= (uint)tensors.Length)
            {
                return tensor == null
                    ? Failure.NullPointer("tensor")
                    : Failure.Argument($"The arena has {tensors.Length} tensors, counted from 0; there is no tensor {index}.");
            }

            var found = tensors[index];
            *tensor = new AbiTensor
            {
                Group = found.Group,
                Layer = found.Layer,
                Buffer = found.Buffer,
                TokensPerBlock = found.TokensPerBlock,
                OffsetBytes = found.OffsetBytes,
                BlockBytes = found.BlockBytes,
                BlockStrideBytes = found.BlockStrideBytes,
                BlockCount = found.BlockCount,
            };
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_arena_group_name", CallConvs = [typeof(CallConvCdecl)])]
    public static int GroupName(ulong arena, int group, byte* name, int capacity, int* byteCount)
    {
        try
        {
            if (Handles.Table.Find<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            if ((uint)group >= (uint)target.Arena.Layout.GroupCount || capacity < 0 || (name == null && capacity > 0))
            {
                return Failure.Argument($"The arena has {target.Arena.Layout.GroupCount} KV groups, counted from 0; group {group} with room for {capacity} bytes won't do.");
            }

            var utf8 = Encoding.UTF8.GetBytes(target.Arena.Layout.ShapeOf(group).Name + '\0');
            if (byteCount != null)
            {
                *byteCount = utf8.Length;
            }

            if (utf8.Length > capacity)
            {
                return Failure.Because(Status.BufferTooSmall, $"The name takes {utf8.Length} bytes; there is room for {capacity}.");
            }

            utf8.CopyTo(new Span<byte>(name, capacity));
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_arena_state", CallConvs = [typeof(CallConvCdecl)])]
    public static int State(ulong arena, int* isAttached)
    {
        try
        {
            if (Handles.Table.Find<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            if (isAttached != null)
            {
                *isAttached = target.Arena.IsAttached ? 1 : 0;
            }

            return target.Arena.Gone is { } refusal ? Failure.Because(refusal) : (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_step_done", CallConvs = [typeof(CallConvCdecl)])]
    public static int StepDone(ulong arena, long step)
    {
        try
        {
            if (!TryFindStep(arena, step, out var target, out var failure))
            {
                return failure;
            }

            target.Arena.StepDone(new EngineStep(step));
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_step_done_on_stream", CallConvs = [typeof(CallConvCdecl)])]
    public static int StepDoneOnStream(ulong arena, long step, nint stream)
    {
        try
        {
            if (!TryFindStep(arena, step, out var target, out var failure))
            {
                return failure;
            }

            target.Arena.StepDone(new EngineStep(step), stream);
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_arena_get_stats", CallConvs = [typeof(CallConvCdecl)])]
    public static int Stats(ulong arena, AbiArenaStats* stats)
    {
        try
        {
            if (Handles.Table.Find<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            if (stats == null)
            {
                return Failure.NullPointer("stats");
            }

            var found = target.Arena.GetStats();
            *stats = new AbiArenaStats
            {
                Extents = found.Extents,
                Pages = found.Pages,
                MappedBytes = found.MappedBytes,
                Descriptors = found.Descriptors,
                LeavingExtents = found.LeavingExtents,
                StuckExtents = found.StuckExtents,
                Connections = found.Connections,
                CompletedStep = found.CompletedStep.Value,
                Operations = found.Operations,
                Refusals = found.Refusals,
            };
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_close_arena", CallConvs = [typeof(CallConvCdecl)])]
    public static int Close(ulong arena, int timeoutMs)
    {
        try
        {
            if (timeoutMs < 0)
            {
                return Failure.NegativeTimeout(timeoutMs);
            }

            if (Handles.Table.Remove<OpenArena>(arena) is not { } target)
            {
                return Failure.BadHandle(arena, "arena");
            }

            var refusal = target.Arena.Detach(TimeSpan.FromMilliseconds(timeoutMs));
            target.Events.Close();
            return refusal is null ? (int)Status.Ok : Failure.Because(refusal);
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    private static bool TryFindStep(
        ulong arena, long step, [NotNullWhen(true)] out OpenArena? target, out int failure)
    {
        target = Handles.Table.Find<OpenArena>(arena);
        failure = target is null ? Failure.BadHandle(arena, "arena")
            : step is < 1 or long.MaxValue ? Failure.Argument($"Step {step} can't be done: steps are numbered from 1.")
            : (int)Status.Ok;
        return failure == (int)Status.Ok;
    }
}
