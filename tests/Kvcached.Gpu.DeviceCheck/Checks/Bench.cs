using Kvcached.Gpu.DeviceCheck.Rigs;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.DeviceCheck.Checks;

/// <summary>A backend with one reserved range to try things on; when it ends, it cleans up and insists that nothing is left.</summary>
internal sealed class Bench : IDisposable
{
    private readonly ICheckRig _rig;
    private readonly List<MemoryHandle> _handles = [];
    private readonly int _pageCount;

    internal Bench(ICheckRig rig, int pageCount)
    {
        _rig = rig;
        _pageCount = pageCount;
        Memory = rig.Open();
        Arena = Memory.Reserve(pageCount * rig.PageBytes);
    }

    internal FaultInjectingVirtualMemory Memory { get; }

    internal AddressReservation Arena { get; }

    internal nint At(int page) => Arena.BaseAddress + (nint)(page * _rig.PageBytes);

    internal MemoryHandle Create(int pageCount = 1)
    {
        Expect.That(Memory.TryCreate(pageCount * _rig.PageBytes, out var handle), "no memory could be created");
        return Keep(handle);
    }

    internal MemoryHandle Keep(MemoryHandle handle)
    {
        _handles.Add(handle);
        return handle;
    }

    internal MemoryHandle Map(int page, int pageCount) => MapAgain(page, pageCount, Create(pageCount));

    internal MemoryHandle MapAgain(int page, int pageCount, MemoryHandle handle)
    {
        Memory.Map(At(page), pageCount * _rig.PageBytes, 0, handle);
        Memory.SetAccess(At(page), pageCount * _rig.PageBytes, MemoryAccess.ReadWrite);
        return handle;
    }

    internal void Release(MemoryHandle handle)
    {
        Memory.Release(handle);
        _handles.Remove(handle);
    }

    public void Dispose()
    {
        // Mappings have whole pages as sizes here, so whatever is left goes by trying every length at every page.
        for (var page = 0; page < _pageCount && Memory.Live.MappingCount > 0; page++)
        {
            for (var count = 1; page + count <= _pageCount; count++)
            {
                try
                {
                    Memory.Unmap(At(page), count * _rig.PageBytes);
                    break;
                }
                catch (VirtualMemoryException)
                {
                    continue;
                }
            }
        }

        _handles.ToList().ForEach(Release);
        Memory.Free(Arena);
        var left = Memory.Live;
        Memory.Dispose();
        Expect.Equal(default, left, "what is left after the check");
    }
}
