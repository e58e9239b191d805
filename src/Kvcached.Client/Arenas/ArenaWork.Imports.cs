using System.Collections.Immutable;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Arenas;

/// <content>Memory that stays imported after its unmap.</content>
internal sealed partial class ArenaWork
{
    private bool LetGo(Order order)
    {
        Lines.SocketLine.Discard(order.Descriptors);
        order.Driver.Start();
        ImmutableArray<Extent> refused = [.. order.Operate.Extents.Where(lent => !memory.Imports.TryLetGo(lent)).Select(lent => lent.Extent)];
        order.Driver.Stop();
        Answer(order.Operate.Operation, null, memory.Digest, refused, order.Driver.Elapsed);
        return true;
    }

    /// <summary>Only who still waits for the unmap learns that the memory stayed imported; else it is let go of altogether.</summary>
    private bool TryLetGo(Leaving leaving)
    {
        if (leaving is { IsRetiring: true, Farewell: not null } && leaving.Memory.TryRetire(out var imported))
        {
            memory.Imports.Keep(leaving.Memory.Lent, imported);
            return true;
        }

        return leaving.Memory.TryLetGo();
    }
}
