using Kvcached.Gpu.Faults;
using Kvcached.Gpu.Memory;

namespace Kvcached.Actors.Tests.Hosting;

/// <summary>One driver call that is to fail, counted from <see cref="Plan"/>; every call works again after <see cref="End"/>.</summary>
/// <param name="memory">Whose calls.</param>
/// <param name="operation">Which calls are counted; null = all.</param>
/// <param name="call">Number of the call, from 1.</param>
/// <param name="code">What it answers.</param>
internal sealed class Fault(FaultInjectingVirtualMemory memory, VirtualMemoryOperation? operation, int call, DriverCode code)
{
    private long _before;

    /// <summary>True when there was such a call.</summary>
    public bool WasMet { get; private set; }

    private long Calls => operation is { } one ? memory.CallCount(one) : memory.TotalCallCount;

    public void Plan()
    {
        _before = Calls;
        memory.FailNth(operation, call, code);
    }

    public void End()
    {
        WasMet = Calls - _before >= call;
        memory.Heal();
    }
}
