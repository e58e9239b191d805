using System.Globalization;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;

namespace Kvcached.Gpu.Memory;

/// <summary>A driver, or the kernel in its place, refused a call that should have worked.</summary>
public sealed class VirtualMemoryException : Exception
{
    /// <param name="operation">What was asked of the backend.</param>
    /// <param name="call">The native function that failed, for example <c>cuMemMap</c>.</param>
    /// <param name="code">What it answered.</param>
    /// <param name="gpu">On which GPU.</param>
    /// <param name="bytes">Bytes that the call was about.</param>
    /// <param name="detail">What is known beyond the code, as a sentence without its full stop; may be empty.</param>
    public VirtualMemoryException(VirtualMemoryOperation operation, string call, DriverCode code, GpuId gpu, long bytes, string detail = "")
        : base(Describe(call, code, gpu, bytes, detail))
    {
        Operation = operation;
        Call = call;
        Code = code;
        Gpu = gpu;
        Bytes = bytes;
    }

    public VirtualMemoryOperation Operation { get; }

    public string Call { get; }

    public DriverCode Code { get; }

    public GpuId Gpu { get; }

    public long Bytes { get; }

    private static string Describe(string call, DriverCode code, GpuId gpu, long bytes, string detail)
    {
        var name = Enum.IsDefined(code) ? code.ToString() : "unknown code";
        var advice = code switch
        {
            DriverCode.OutOfMemory => " Lower the capacity or free memory of other processes.",
            DriverCode.OperatingSystem => " Look at the limits of this process: open files (ulimit -n) and mappings (vm.max_map_count).",
            DriverCode.NotSupported => " This driver or GPU can't do it.",
            _ => string.Empty,
        };
        var what = detail.Length == 0 ? string.Empty : $" {detail}.";
        return string.Create(CultureInfo.InvariantCulture, $"{call} failed on {gpu}: {name} ({(int)code}); {ByteSize.Format(bytes)}.{what}{advice}");
    }
}
