using System.Globalization;
using System.IO.Pipes;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Faults;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Native;

namespace Kvcached.Gpu.DeviceCheck.Rigs;

/// <summary>Main memory, in pages small enough for many checks.</summary>
public sealed class HostRig(long pageBytes) : ICheckRig, IMemoryProbe
{
    public GpuId Gpu { get; } = GpuId.Parse("HOST-0");

    public long PageBytes => pageBytes;

    public IMemoryProbe Probe => this;

    public IReadOnlyList<string> ChildArguments => ["host", pageBytes.ToString(CultureInfo.InvariantCulture)];

    public FaultInjectingVirtualMemory Open() => new(OpenBare(), TimeProvider.System);

    public HostVirtualMemory OpenBare() =>
        new(new HostVirtualMemoryOptions { Gpu = Gpu, CapacityBytes = ByteSize.GiB, GranularityBytes = pageBytes });

    /// <summary>The kernel copies to and from the address on our behalf, and says so where it can't.</summary>
    public MemoryAccess AccessOf(nint address)
    {
        using var writer = new AnonymousPipeServerStream(PipeDirection.Out);
        using var reader = new AnonymousPipeClientStream(PipeDirection.In, writer.ClientSafePipeHandle);
        try
        {
            writer.Write(HostSpan.At(address, 1));
        }
        catch (IOException)
        {
            return MemoryAccess.None;
        }

        try
        {
            return reader.Read(HostSpan.At(address, 1)) == 1 ? MemoryAccess.ReadWrite : MemoryAccess.Read;
        }
        catch (IOException)
        {
            return MemoryAccess.Read;
        }
    }

    public void Write(nint address, ReadOnlySpan<byte> bytes) => bytes.CopyTo(HostSpan.At(address, bytes.Length));

    public byte[] Read(nint address, int byteCount) => HostSpan.At(address, byteCount).ToArray();
}
