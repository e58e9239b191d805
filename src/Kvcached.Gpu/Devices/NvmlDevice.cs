using Kvcached.Core.Ids;

namespace Kvcached.Gpu.Devices;

/// <summary>One GPU as the management library sees it, whatever <c>CUDA_VISIBLE_DEVICES</c> says.</summary>
/// <param name="Index">Its number there, from 0.</param>
/// <param name="Id">Its UUID.</param>
/// <param name="Name">Name for people.</param>
/// <param name="TotalBytes">Bytes of memory.</param>
/// <param name="UsedBytes">Bytes in use by all processes and the driver, at the time of asking.</param>
/// <param name="DriverVersion">For example <c>580.159.04</c>.</param>
public sealed record NvmlDevice(int Index, GpuId Id, string Name, long TotalBytes, long UsedBytes, string DriverVersion);
