using System.Diagnostics;
using System.Globalization;
using Kvcached.Benchmarks.Measuring;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Sockets;
using Kvcached.Core.Workers;
using Kvcached.Gpu.Memory;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Core.Workers.WorkerProtocol;

namespace Kvcached.Benchmarks.AttachedMaps;

/// <summary>The host's side: memory that it lends, the engine socket, and the worker's process. Blocking, on one thread.</summary>
internal sealed class AttachedHost : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kvcached-bench-");
    private readonly IVirtualMemory _memory;
    private readonly int _order;
    private readonly List<SafeFileHandle> _lent = [];
    private readonly List<SafeFileHandle> _bareLent = [];
    private readonly List<MemoryHandle> _handles = [];
    private readonly FrameAssembler _assembler = new();
    private readonly byte[] _buffer = new byte[SocketLimits.MaxFrameBytes];
    private readonly UnixMessageChannel _worker;
    private readonly UnixMessageChannel _bare;
    private readonly Process _process;
    private long _operation;

    private AttachedHost(IVirtualMemory memory, GpuId device, int order, int extentCount)
    {
        (_memory, _order) = (memory, order);
        var spec = AttachedPool.Spec(device, order, extentCount);
        var bytes = ArenaLayout.Create(spec.Geometry, 0).BytesOf(AttachedPool.ExtentAt(0, order));
        for (var i = 0; i < extentCount; i++)
        {
            _lent.Add(Create(bytes));
            _bareLent.Add(Create(bytes));
        }

        var (socket, bareSocket) = (Path.Combine(_directory.FullName, "engine.sock"), Path.Combine(_directory.FullName, "bare.sock"));
        using var listener = Listen(socket);
        using var bareListener = Listen(bareSocket);
        var start = new ProcessStartInfo(Environment.ProcessPath!);
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
        {
            start.ArgumentList.Add(typeof(AttachedHost).Assembly.Location);
        }

        foreach (var argument in new[] { AttachedWorker.CommandName, socket, bareSocket, device.Value, order.ToString(CultureInfo.InvariantCulture) })
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
        _bare = Accept(bareListener);
        _worker = Accept(listener);
        Expect<SocketProtocol.Hello>();
        Say(new SocketProtocol.Welcome(SocketLimits.ProtocolVersion, new HostIncarnation(1), device, "default", memory.Backend, memory.GranularityBytes, "bench"));
        Expect<AttachRank>();
        Say(new RankAttached(PoolId.Create(1, 1), 0, spec));
        Operate(WorkerOperationKind.Install, [], []);
        Say(TableComplete.Instance);
    }

    /// <exception cref="InvalidOperationException">The device can't be had, or the worker doesn't come.</exception>
    public static AttachedHost Start(GpuId device, int order, int extentCount)
    {
        var request = new VirtualMemoryRequest
        {
            Backend = device.IsHostMemory ? BackendChoice.Host : BackendChoice.Cuda, Gpu = device,
            Host = new Gpu.HostMemory.HostVirtualMemoryOptions { CapacityBytes = 1L << 40 },
        };
        return VirtualMemoryFactory.TryOpen(request, out var memory, out var problem)
            ? new AttachedHost(memory, device, order, extentCount)
            : throw new InvalidOperationException(problem.Text);
    }

    /// <summary>Maps and unmaps one extent by the library, then bare, with a bare round trip in between.</summary>
    public void Measure(int index, AttachedSamples samples)
    {
        var extent = AttachedPool.ExtentAt(index, _order);
        var lent = new LentExtent(extent, new ExtentIdentity(new HostIncarnation(1), index + 1, extent.Generation));
        samples.Maps.Add(Operate(WorkerOperationKind.Map, [lent], [_lent[index]], samples.LibraryMapCalls));
        samples.Unmaps.Add(Operate(WorkerOperationKind.Unmap, [lent], [], samples.LibraryUnmapCalls));
        samples.Bare.Add(Ask(AttachedWorker.Nothing, [_bareLent[index]]).RoundTrip);
        samples.MapCalls.Add(Ask(AttachedWorker.Map, [_bareLent[index]]).Calls);
        samples.UnmapCalls.Add(Ask(AttachedWorker.Unmap, []).Calls);
    }

    public void Dispose()
    {
        _bare.Dispose();
        _worker.Dispose();
        if (!_process.WaitForExit(Patience))
        {
            _process.Kill();
        }

        _process.Dispose();
        _lent.ForEach(d => d.Dispose());
        _bareLent.ForEach(d => d.Dispose());
        _handles.ForEach(_memory.Release);
        _memory.Dispose();
        _directory.Delete(recursive: true);
    }

    private SafeFileHandle Create(long bytes)
    {
        if (!_memory.TryCreate(bytes, out var handle))
        {
            throw new InvalidOperationException($"{_memory.Gpu} has too little memory left; use fewer or smaller extents.");
        }

        _handles.Add(handle);
        return _memory.Export(handle);
    }

    private double Operate(WorkerOperationKind kind, LentExtent[] extents, SafeFileHandle[] descriptors, Samples? calls = null)
    {
        var started = Stopwatch.GetTimestamp();
        Say(new Operate(++_operation, kind, new Epoch(1, 1), _operation, EngineStep.None, [.. extents], []), descriptors);
        var done = Expect<OperationDone>();
        var microseconds = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
        calls?.Add(done.DriverMicroseconds);
        return done.Refusal is null ? microseconds : throw new InvalidOperationException($"The worker refused: {done.Refusal}");
    }

    private (double RoundTrip, double Calls) Ask(byte order, SafeFileHandle[] descriptors)
    {
        var received = new List<SafeFileHandle>();
        var started = Stopwatch.GetTimestamp();
        var isThere = _bare.Send([order], descriptors) && _bare.Receive(_buffer, out _, received) == ReceiveStatus.Message;
        var microseconds = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
        return isThere ? (microseconds, BitConverter.ToDouble(_buffer)) : throw new InvalidOperationException("The worker has ended.");
    }

    private void Say(object message, params SafeFileHandle[] descriptors)
    {
        var body = new System.Buffers.ArrayBufferWriter<byte>();
        var frames = new FrameSplitter(EngineSocketCodec.Write(message, body), body.WrittenMemory, descriptors.Length);
        do
        {
            var frame = new byte[frames.FrameBytes];
            frames.Write(frame);
            _worker.Send(frame, descriptors.AsSpan(frames.FirstDescriptor, frames.FrameDescriptorCount));
        }
        while (frames.MoveNext());
    }

    private T Expect<T>()
        where T : class
    {
        var descriptors = new List<SafeFileHandle>();
        while (_worker.Receive(_buffer, out var length, descriptors) == ReceiveStatus.Message)
        {
            if (_assembler.Add(_buffer.AsSpan(0, length), descriptors.Count, out var body) != FrameStatus.Message
                || !EngineSocketCodec.TryRead(_assembler.Type, body, _assembler.DescriptorCount, out var message, out _))
            {
                break;
            }

            descriptors.ForEach(d => d.Dispose());
            descriptors.Clear();
            if (message is T wanted)
            {
                return wanted;
            }
        }

        throw new InvalidOperationException($"The worker ended, or said something else than {typeof(T).Name}.");
    }

    private static UnixMessageListener Listen(string path) =>
        UnixMessageListener.TryListen(path, UnixFileMode.UserRead | UnixFileMode.UserWrite, null, out var listener, out var problem)
            ? listener
            : throw new InvalidOperationException($"'{path}' {problem}.");

    private static UnixMessageChannel Accept(UnixMessageListener listener)
    {
        var started = Stopwatch.GetTimestamp();
        UnixMessageChannel? channel;
        while (listener.TryAccept(out channel) != AcceptStatus.Accepted)
        {
            if (Stopwatch.GetElapsedTime(started) > Patience)
            {
                throw new InvalidOperationException("The worker's process did not connect.");
            }

            Thread.Yield();
        }

        return channel!;
    }
}
