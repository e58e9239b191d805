using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Serving;

/// <summary>
/// One conversation with a host, on the calling thread: reads a request, carries it out, answers it. It ends when the host is gone,
/// says so, or breaks the rules of the wire.
/// </summary>
internal sealed class CopierServer(UnixMessageChannel channel, RequestHandler handler, TextWriter log)
{
    private readonly List<SafeFileHandle> _descriptors = [];
    private Map? _gathered;
    private long _gatheredId;

    /// <summary>Serves until the end. Returns the process's exit code.</summary>
    public int Run()
    {
        try
        {
            var exitCode = Serve();
            handler.CloseAll();
            return exitCode;
        }
        catch (MemoryStuckException stuck)
        {
            log.WriteLine($"{stuck.Message} This copier ends, which lets go of all memory.");
            return ExitCode.MemoryStuck;
        }
        finally
        {
            CloseDescriptors();
        }
    }

    private int Serve()
    {
        var frame = new byte[CopierCodec.MaxFrameBytes];
        while (true)
        {
            var held = _descriptors.Count;
            switch (channel.Receive(frame, out var length, _descriptors))
            {
                case ReceiveStatus.Closed:
                    return ExitCode.Ok;
                case ReceiveStatus.Truncated:
                    return Malformed("a message arrived in part; the limit of open files may be too low");
            }

            var problem = CopierCodec.ReadRequest(frame.AsSpan(0, length), _descriptors.Count - held, out var id, out var request);
            problem ??= Gather(id, request!, held);
            if (problem is not null)
            {
                return Malformed(problem);
            }

            if (request is Map { IsLast: false })
            {
                continue;
            }

            var reply = handler.Handle(request!, _descriptors);
            CloseDescriptors();
            var replyLength = CopierCodec.Write(frame, id, reply);
            if (!channel.Send(frame.AsSpan(0, replyLength), default) || request is Exit)
            {
                return ExitCode.Ok;
            }
        }
    }

    /// <summary>The parts of a mapping come one directly after the other. Returns what is wrong, or null.</summary>
    private string? Gather(long id, IRequest request, int held)
    {
        var expected = _gathered;
        _gathered = null;
        if (request is not Map map)
        {
            return expected is null ? null : $"{request.GetType().Name} came between the parts of a mapping";
        }

        var isContinuation = expected is not null && _gatheredId == id && expected.Pool == map.Pool && expected.Extent == map.Extent
            && expected.UnitCount == map.UnitCount;
        if (map.FirstUnit != held || isContinuation != (held > 0))
        {
            return $"part {map.FirstUnit} of {map.UnitCount} of a mapping came out of order";
        }

        if (!map.IsLast)
        {
            (_gathered, _gatheredId) = (map, id);
        }

        return null;
    }

    private int Malformed(string problem)
    {
        log.WriteLine($"The host broke the rules of the wire: {problem}. This copier ends.");
        return ExitCode.Malformed;
    }

    private void CloseDescriptors()
    {
        _descriptors.ForEach(d => d.Dispose());
        _descriptors.Clear();
    }
}
