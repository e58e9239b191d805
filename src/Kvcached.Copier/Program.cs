using System.Net.Sockets;
using Kvcached.Copier;
using Kvcached.Copier.Cuda;
using Kvcached.Copier.SelfChecking;
using Kvcached.Copier.Serving;
using Kvcached.Copier.Working;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Copying.Devices;
using Kvcached.Gpu.Cuda;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

if (CommandLine.Parse(args, out var wrong) is not { } commandLine)
{
    Console.Error.WriteLine(wrong);
    Console.Error.WriteLine(CommandLine.Usage);
    return ExitCode.Usage;
}

// A mapping's descriptors arrive all at once, and there may be thousands.
_ = FileDescriptorBudget.ForProcess();
if (!VirtualMemoryFactory.TryOpen(commandLine.Memory, out var memory, out var unavailable))
{
    Console.Error.WriteLine(unavailable);
    return ExitCode.Failed;
}

try
{
    using (memory)
    using (IBlockWorker worker = memory is CudaVirtualMemory cuda ? CudaBlockWorker.Open(cuda) : new HostBlockWorker())
    {
        if (commandLine.IsSelfCheck)
        {
            return new SelfCheck(memory, worker, Console.Out).Run() ? ExitCode.Ok : ExitCode.Failed;
        }

        using var channel = commandLine.SocketPath is { } path ? Connect(path) : Inherit(commandLine.SocketDescriptor!.Value);
        return new CopierServer(channel, new RequestHandler(memory, worker), Console.Error).Run();
    }
}
catch (Exception failure) when (failure is SocketException or IOException or CudaWorkException or VirtualMemoryException or MemoryStuckException)
{
    Console.Error.WriteLine($"The copier can't go on: {failure.Message}");
    return ExitCode.Failed;
}

static UnixMessageChannel Connect(string path)
{
    using var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
    socket.Connect(new UnixDomainSocketEndPoint(path));
    return UnixMessageChannel.Adopt(UnixMessageChannel.Duplicate(socket.SafeHandle));
}

static UnixMessageChannel Inherit(int descriptor) => UnixMessageChannel.Adopt(new SafeFileHandle(descriptor, ownsHandle: true));
