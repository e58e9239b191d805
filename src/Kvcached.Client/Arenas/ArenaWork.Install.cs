using System.Collections.Immutable;
using Kvcached.Core.Decisions;
using Kvcached.Core.Workers;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Client.Arenas;

/// <content>Making the table exactly what the host says.</content>
internal sealed partial class ArenaWork
{
    /// <summary>
    /// What isn't on the list is taken out and leaves after its fence; then the rest is mapped. False while it waits for pages on the list. What is
    /// leaving otherwise is named in the answer as not gone yet, so that a table never waits for an engine that takes no steps.
    /// </summary>
    private bool TryInstall(Order order)
    {
        var wanted = order.Operate.Extents;
        var held = order.Operate.IsDescriptorsHeld;
        if (!held.IsDefaultOrEmpty && held.Length != wanted.Length)
        {
            return Refuse(order, new Refusal(RefusalReason.InvalidMessage, $"{held.Length} flags came for {wanted.Length} extents."));
        }

        if (!order.IsBegun)
        {
            order.IsBegun = true;
            Begin(order);
            Release();
        }

        if (IsInTheWay(wanted))
        {
            return false;
        }

        if (!TryChoose(order, out var missing, out var descriptors, out var refusal) || (refusal = FindStuck([.. missing])) is not null)
        {
            return Refuse(order, refusal!);
        }

        order.Driver.Start();
        refusal = memory.Map(missing, descriptors, out var kept);
        order.Driver.Stop();
        _stuck.AddRange(kept);
        for (var i = 0; i < _leaving.Count; i++)
        {
            _leaving[i] = _leaving[i] with { IsNamed = true };
        }

        Answer(
            order.Operate.Operation, refusal, memory.Digest, [.. _stuck.Select(s => s.Extent), .. _leaving.Select(l => l.Memory.Extent)], order.Driver.Elapsed);
        return true;
    }

    private void Begin(Order order)
    {
        var wanted = order.Operate.Extents.ToHashSet();
        var point = PointFor(order.Operate.Fence);
        foreach (var mapped in memory.Mapped.Where(m => !wanted.Contains(m.Lent)).ToArray())
        {
            _leaving.Add(new Leaving(memory.TakeOut(mapped.Lent)!, order.Operate.Fence, point, null));
        }

        // What is leaving by an order that the host has since forgotten stays, if it is still whole.
        for (var i = 0; i < _leaving.Count; i++)
        {
            if (wanted.Contains(_leaving[i].Memory.Lent) && _leaving[i].Memory.IsWhole)
            {
                var (mapped, farewell) = (_leaving[i].Memory, _leaving[i].Farewell);
                memory.PutBack(mapped);
                _leaving.RemoveAt(i--);
                if (farewell is not null && --farewell.Remaining == 0)
                {
                    Answer(farewell);
                }
            }
        }
    }

    /// <summary>What isn't mapped yet, with its descriptors; those of what is mapped already are closed.</summary>
    private bool TryChoose(Order order, out List<LentExtent> missing, out ImmutableArray<SafeFileHandle> descriptors, out Refusal? refusal)
    {
        missing = [];
        refusal = null;
        var chosen = ImmutableArray.CreateBuilder<SafeFileHandle>();
        var next = 0;
        for (var i = 0; i < order.Operate.Extents.Length && refusal is null; i++)
        {
            var lent = order.Operate.Extents[i];
            var comesWithDescriptors = order.Operate.IsDescriptorsHeld.IsDefaultOrEmpty || !order.Operate.IsDescriptorsHeld[i];
            var units = (uint)lent.Extent.Group < (uint)memory.Layout.GroupCount ? memory.Layout.UnitsOf(lent.Extent.Group).Length : 0;
            var count = comesWithDescriptors ? units : 0;
            if (units == 0 || next + count > order.Descriptors.Length)
            {
                refusal = new Refusal(RefusalReason.InvalidMessage, $"{lent.Extent} is of no KV group here, or came with too few descriptors.");
            }
            else if (memory.Holds(lent))
            {
                Lines.SocketLine.Discard([.. order.Descriptors.AsSpan(next, count)]);
            }
            else if (comesWithDescriptors)
            {
                missing.Add(lent);
                chosen.AddRange(order.Descriptors.AsSpan(next, count));
            }
            else
            {
                refusal = new Refusal(RefusalReason.StaleExtent, $"{lent.Extent} as {lent.Identity} isn't held by the worker. Send its descriptors.");
            }

            next += count;
        }

        if (refusal is null && next != order.Descriptors.Length)
        {
            refusal = new Refusal(RefusalReason.InvalidMessage, $"{order.Descriptors.Length} descriptors came, {next} were expected.");
        }

        descriptors = chosen.ToImmutable();
        return refusal is null;
    }
}
