using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Contracts;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Lanes;

/// <summary>What a frame of a lane carries. Other numbers than those of the engine socket, so that neither takes the other for itself.</summary>
internal enum LaneFrameType : ushort
{
    /// <summary>Coordinator to rank, first and once: <see cref="LaneHello"/>.</summary>
    Hello = 0x0401,

    /// <summary>Rank to coordinator: the same <see cref="LaneHello"/>; the lane is open.</summary>
    Welcome = 0x0481,

    /// <summary>Rank to coordinator, last: a text that says why there is no lane.</summary>
    Refused = 0x0482,

    /// <summary>A command or a reply of the rank protocol.</summary>
    Message = 0x0402,
}

/// <summary>Which rank the coordinator means to reach, and by which lane. Both sides must agree on every part.</summary>
/// <param name="Lane">The lane.</param>
/// <param name="Domain">The domain.</param>
/// <param name="Gpu">The rank's GPU.</param>
/// <param name="Incarnation">The life of its host that has registered.</param>
internal sealed record LaneHello(LaneId Lane, string Domain, GpuId Gpu, HostIncarnation Incarnation)
{
    /// <summary>Version of the handshake and of the frames after it.</summary>
    private const int Version = 1;

    public void Write(ref WireWriter writer)
    {
        writer.WriteInt32(Version);
        writer.WriteEpoch(Lane.Epoch);
        writer.WriteInt64(Lane.Serial);
        writer.WriteText(Domain);
        writer.WriteGpuId(Gpu);
        writer.WriteIncarnation(Incarnation);
    }

    /// <summary>Reads a hello; false when it is none of this version.</summary>
    public static bool TryRead(ReadOnlySpan<byte> body, [NotNullWhen(true)] out LaneHello? hello)
    {
        hello = null;
        var reader = new WireReader(body);
        if (!reader.TryReadInt32(out var version) || version != Version || !reader.TryReadEpoch(out var epoch) || !reader.TryReadInt64(out var serial)
            || !reader.TryReadText(out var domain) || !reader.TryReadGpuId(out var gpu) || !reader.TryReadIncarnation(out var incarnation) || !reader.TryEnd())
        {
            return false;
        }

        hello = new LaneHello(new LaneId(epoch, serial), domain, gpu, incarnation);
        return true;
    }
}
