using System.Collections.Immutable;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// What a host and its copier say to each other. The first request is <see cref="Hello"/>; each request has one reply, in any case
/// of the expected kind or <see cref="Refused"/>.
/// </summary>
public static class CopierProtocol
{
    /// <summary>Version of the conversation; both sides must speak the same.</summary>
    public const int Version = 1;

    public interface IRequest;

    public interface IReply;

    /// <summary>Opens the conversation. Replies: <see cref="HelloAccepted"/>.</summary>
    /// <param name="Version">What the caller speaks.</param>
    /// <param name="Backend">The memory that the caller lends.</param>
    /// <param name="Gpu">The device that it is lent from.</param>
    public sealed record Hello(int Version, CopierBackend Backend, GpuId Gpu) : IRequest;

    /// <summary>Reserves the arena of one rank of a pool. Replies: <see cref="Done"/>.</summary>
    /// <param name="Pool">The pool.</param>
    /// <param name="Rank">Index of the rank, which the stamps' words depend on.</param>
    /// <param name="Geometry">The pool's geometry, of whose ranks only this one's is sent.</param>
    public sealed record Attach(PoolId Pool, int Rank, PoolGeometry Geometry) : IRequest;

    /// <summary>
    /// Maps an extent from the descriptors that come with it, one per mapping unit of its group and in their order. More
    /// than <see cref="UnixMessageChannel.MaxDescriptors"/> come in several parts under one request id, one directly after the
    /// other; only the last is answered. Replies: <see cref="Done"/>.
    /// </summary>
    /// <param name="Pool">The pool.</param>
    /// <param name="Extent">What is mapped.</param>
    /// <param name="FirstUnit">Position of this part's first descriptor.</param>
    /// <param name="UnitCount">Descriptors of all parts.</param>
    /// <param name="DescriptorCount">Descriptors of this part.</param>
    public sealed record Map(PoolId Pool, Extent Extent, int FirstUnit, int UnitCount, int DescriptorCount) : IRequest
    {
        /// <summary>True when no more parts follow.</summary>
        public bool IsLast => FirstUnit + DescriptorCount == UnitCount;
    }

    /// <summary>Unmaps an extent and lets go of its memory before the reply is sent. Replies: <see cref="Done"/>.</summary>
    public sealed record Drop(PoolId Pool, Extent Extent) : IRequest;

    /// <summary>Writes stamps. All blocks must be mapped and none named twice, or nothing is written. Replies: <see cref="Done"/>.</summary>
    public sealed record Stamp(PoolId Pool, int Group, ImmutableArray<BlockStamp> Stamps) : IRequest;

    /// <summary>Compares blocks with stamps. Replies: <see cref="Verified"/>.</summary>
    public sealed record Verify(PoolId Pool, int Group, ImmutableArray<BlockStamp> Stamps) : IRequest;

    /// <summary>Sums the bytes of a mapped extent. Replies: <see cref="Summed"/>.</summary>
    public sealed record Checksum(PoolId Pool, Extent Extent) : IRequest;

    /// <summary>Drops all extents of a pool and gives its arena back. Replies: <see cref="Done"/>.</summary>
    public sealed record Detach(PoolId Pool) : IRequest;

    /// <summary>Lets go of everything and ends the process with exit code 0. Replies: <see cref="Done"/>.</summary>
    public sealed record Exit : IRequest;

    /// <summary>The conversation is open.</summary>
    /// <param name="ProcessId">The copier's process.</param>
    /// <param name="MaxOutstanding">Requests that may be sent without their replies having come.</param>
    /// <param name="GranularityBytes">Smallest size and alignment that its memory maps, in bytes.</param>
    public sealed record HelloAccepted(int ProcessId, int MaxOutstanding, long GranularityBytes) : IReply;

    /// <summary>It is done.</summary>
    public sealed record Done : IReply;

    /// <summary>What verifying found.</summary>
    public sealed record Verified(VerifyReport Report) : IReply;

    /// <summary>The sum of an extent.</summary>
    public sealed record Summed(ExtentChecksum Checksum) : IReply;

    /// <summary>It was not done, and nothing has changed.</summary>
    public sealed record Refused(CopierRefusal Reason, string Message) : IReply;
}
