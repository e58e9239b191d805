using System.Runtime.InteropServices;

namespace Kvcached.Client.Threads;

/// <summary>
/// Numbers of descriptors in memory that never moves and that a forked child can walk without a lock. One more than fits is left out: the child
/// then keeps it until it ends or executes another program.
/// </summary>
internal sealed unsafe class ForkTable
{
    private int _hint;

    /// <param name="capacity">Most descriptors; their memory is only taken as they come.</param>
    public ForkTable(int capacity)
    {
        Capacity = capacity;
        Slots = (int*)NativeMemory.AllocZeroed((nuint)capacity + 1, sizeof(int));
        UsedCount = Slots + capacity;
    }

    public int Capacity { get; }

    public int* Slots { get; }

    /// <summary>Slots beyond this many were never used.</summary>
    public int* UsedCount { get; }

    public void Enter(int descriptor)
    {
        var start = Volatile.Read(ref _hint);
        for (var i = 0; i < Capacity; i++)
        {
            var slot = (start + i) % Capacity;
            if (Interlocked.CompareExchange(ref Slots[slot], descriptor, 0) == 0)
            {
                Raise(slot + 1);
                Volatile.Write(ref _hint, slot + 1 == Capacity ? 0 : slot + 1);
                return;
            }
        }
    }

    public void Leave(int descriptor)
    {
        var used = Volatile.Read(ref *UsedCount);
        for (var slot = 0; slot < used; slot++)
        {
            if (Interlocked.CompareExchange(ref Slots[slot], 0, descriptor) == descriptor)
            {
                // The lowest free slot first, so that the part in use stays short.
                if (slot < Volatile.Read(ref _hint))
                {
                    Volatile.Write(ref _hint, slot);
                }

                return;
            }
        }
    }

    private void Raise(int count)
    {
        var seen = Volatile.Read(ref *UsedCount);
        while (seen < count)
        {
            var before = Interlocked.CompareExchange(ref *UsedCount, count, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
