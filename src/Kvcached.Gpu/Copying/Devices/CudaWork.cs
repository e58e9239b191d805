using System.Diagnostics.CodeAnalysis;
using System.Text;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;
using Driver = Kvcached.Gpu.Native.DriverAPINativeMethods;

namespace Kvcached.Gpu.Copying.Devices;

/// <summary>
/// A context on a GPU, with kernels: what a process needs to read and write the memory that it maps. It costs the GPU about 520 MiB,
/// which is why only the copier has one. Bound to the thread that opened it.
/// </summary>
/// <remarks>
/// Everything runs in order on the default stream: a copy from ordinary memory may return before it has reached the device, and
/// only there does the kernel after it wait.
/// </remarks>
public sealed unsafe class CudaWork : IDisposable
{
    private readonly CUdevice _device;
    private readonly Dictionary<string, CUfunction> _functions = [];
    private CUmodule _module;
    private bool _isDisposed;

    private CudaWork(CUdevice device) => _device = device;

    /// <summary>Makes the device's primary context current on this thread and loads kernels into it.</summary>
    /// <param name="memory">The device.</param>
    /// <param name="ptx">The kernels' PTX text, which the driver compiles for the device.</param>
    /// <exception cref="CudaWorkException">The context can't be had, or the text doesn't compile.</exception>
    public static CudaWork Open(CudaVirtualMemory memory, string ptx)
    {
        var device = new CUdevice(memory.DeviceOrdinal);
        Check("cuDevicePrimaryCtxRetain", Driver.ContextManagement.cuDevicePrimaryCtxRetain(out var context, device));
        var work = new CudaWork(device);
        try
        {
            Check("cuCtxSetCurrent", Driver.ContextManagement.cuCtxSetCurrent(context));
            Check("cuModuleLoadData", Driver.ModuleManagement.cuModuleLoadData(out work._module, [.. Encoding.ASCII.GetBytes(ptx), 0]));
            return work;
        }
        catch
        {
            work.Dispose();
            throw;
        }
    }

    /// <summary>Launches a kernel, all of whose parameters are 64 bits wide, with one-dimensional grid and blocks.</summary>
    /// <param name="kernel">Its name in the PTX text.</param>
    /// <param name="blockCount">Blocks of the grid, 1 to 2^31 - 1.</param>
    /// <param name="threadCount">Threads of a block, 1 to 1024.</param>
    /// <param name="arguments">One value per parameter.</param>
    public void Launch(string kernel, int blockCount, int threadCount, params ReadOnlySpan<ulong> arguments)
    {
        if (!_functions.TryGetValue(kernel, out var function))
        {
            Check($"cuModuleGetFunction({kernel})", Driver.ModuleManagement.cuModuleGetFunction(out function, _module, kernel));
            _functions.Add(kernel, function);
        }

        fixed (ulong* values = arguments)
        {
            var pointers = new nint[arguments.Length];
            for (var i = 0; i < pointers.Length; i++)
            {
                pointers[i] = (nint)(values + i);
            }

            var result = Driver.Launch.cuLaunchKernel(function, (uint)blockCount, 1, 1, (uint)threadCount, 1, 1, 0, default, pointers, null);
            Check($"cuLaunchKernel({kernel})", result);
        }
    }

    /// <summary>Waits until all that was asked is done.</summary>
    public static void Finish() => Check("cuCtxSynchronize", Driver.ContextManagement.cuCtxSynchronize());

    /// <summary>Device memory of the copier's own. False when there is too little left.</summary>
    public static bool TryAllocate(long byteCount, out ulong address)
    {
        var result = Driver.MemoryManagement.cuMemAlloc_v2(out var pointer, (nuint)byteCount);
        address = pointer.Pointer;
        if (result == CUResult.ErrorOutOfMemory)
        {
            return false;
        }

        Check($"cuMemAlloc({byteCount} bytes)", result);
        return true;
    }

    /// <summary>Frees what <see cref="TryAllocate"/> gave; fails only in a lost context, which has freed it already.</summary>
    public static void Free(ulong address) => _ = Driver.MemoryManagement.cuMemFree_v2(new CUdeviceptr((nuint)address));

    /// <summary>Copies bytes to the device.</summary>
    public static void CopyIn(ulong address, ReadOnlySpan<byte> source)
    {
        fixed (byte* start = source)
        {
            Check("cuMemcpyHtoD", Driver.SynchronousMemcpy_v2.cuMemcpyHtoD_v2(new CUdeviceptr((nuint)address), (nint)start, (nuint)source.Length));
        }
    }

    /// <summary>Copies bytes from the device, once all that was asked before is done.</summary>
    public static void CopyOut(ulong address, Span<byte> destination)
    {
        fixed (byte* start = destination)
        {
            Check("cuMemcpyDtoH", Driver.SynchronousMemcpy_v2.cuMemcpyDtoH_v2((nint)start, new CUdeviceptr((nuint)address), (nuint)destination.Length));
        }
    }

    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        if (_module != default)
        {
            _ = Driver.ModuleManagement.cuModuleUnload(_module);
        }

        _ = Driver.ContextManagement.cuCtxSetCurrent(default);
        _ = Driver.ContextManagement.cuDevicePrimaryCtxRelease(_device);
    }

    private static void Check(string call, CUResult result)
    {
        if (result != CUResult.Success)
        {
            Throw(call, result);
        }
    }

    [DoesNotReturn]
    private static void Throw(string call, CUResult result) => throw new CudaWorkException(call, (DriverCode)(int)result, CudaDriver.Describe(result));
}
