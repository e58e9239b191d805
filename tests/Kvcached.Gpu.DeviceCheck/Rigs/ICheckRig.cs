using Kvcached.Core.Ids;
using Kvcached.Gpu.Faults;

namespace Kvcached.Gpu.DeviceCheck.Rigs;

/// <summary>What a check runs on: a backend and a way to look at its memory.</summary>
public interface ICheckRig
{
    GpuId Gpu { get; }

    /// <summary>Smallest page of the backend, in bytes.</summary>
    long PageBytes { get; }

    IMemoryProbe Probe { get; }

    /// <summary>Opens the backend anew; the caller disposes it.</summary>
    FaultInjectingVirtualMemory Open();

    /// <summary>Arguments by which a child process opens the same backend.</summary>
    IReadOnlyList<string> ChildArguments { get; }
}
