using System.Globalization;
using Kvcached.Client;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>
/// The worker's process: an arena of the engine's library, and beside it a socket over which it is told to do nothing, or to make the mapping calls bare.
/// Ends when that socket is closed.
/// </summary>
internal static class AttachedWorker
{
    public const string CommandName = "attached-worker";
    public const byte Nothing = 0;
    public const byte Map = 1;
    public const byte Unmap = 2;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <param name="args">The library's socket, the bare one, the device, and the order of an extent.</param>
    public static int Run(string[] args)
    {
        var device = GpuId.Parse(args[2]);
        var order = int.Parse(args[3], CultureInfo.InvariantCulture);
        if (!VirtualMemoryFactory.TryOpen(
            new VirtualMemoryRequest { Backend = device.IsHostMemory ? BackendChoice.Host : BackendChoice.Cuda, Gpu = device }, out var memory, out var problem))
        {
            Console.Error.WriteLine(problem.Text);
            return 1;
        }

        using var ownedMemory = memory;
        if (!UnixMessageChannel.TryConnect(args[1], Patience, out var bare, out var failure))
        {
            Console.Error.WriteLine(failure.Text);
            return 1;
        }

        using var line = bare;
        var attached = KvArena.Attach(new KvAttachOptions { SocketPath = args[0], PoolName = AttachedPool.Name, Rank = 0, Device = device, AttachTimeout = Patience });
        if (attached.Value is not { } arena)
        {
            Console.Error.WriteLine(attached.Refusal);
            return 1;
        }

        var bytes = arena.Layout.BytesOf(AttachedPool.ExtentAt(0, order));
        using (var mapper = new BareMapper(memory, bytes))
        {
            Serve(line, mapper);
        }

        arena.Detach(Patience);
        return 0;
    }

    private static void Serve(UnixMessageChannel line, BareMapper mapper)
    {
        var buffer = new byte[64];
        var answer = new byte[sizeof(double)];
        var descriptors = new List<SafeFileHandle>();
        while (line.Receive(buffer, out _, descriptors) == ReceiveStatus.Message)
        {
            var microseconds = 0.0;
            switch (buffer[0])
            {
                case Map:
                    microseconds = mapper.Map(descriptors[0]);
                    break;
                case Unmap:
                    microseconds = mapper.Unmap();
                    break;
                default:
                    descriptors.ForEach(d => d.Dispose());
                    break;
            }

            descriptors.Clear();
            BitConverter.TryWriteBytes(answer, microseconds);
            line.Send(answer, []);
        }
    }
}
