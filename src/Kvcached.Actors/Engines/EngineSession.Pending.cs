using System.Collections.Immutable;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Actors.Engines;

/// <content>A request that is sent until it is answered.</content>
internal sealed partial class EngineSession
{
    private sealed class Pending(EngineSessionHandle.MakeRequest make, TaskCompletionSource<EngineProtocol.IReply> answer)
    {
        public EngineSessionHandle.MakeRequest Make { get; } = make;

        public TaskCompletionSource<EngineProtocol.IReply> Answer { get; } = answer;

        public long SentAt { get; set; }

        public int TimesSent { get; set; }

        /// <summary>The pool that it is about; null for one that is to be opened.</summary>
        public PoolId? Pool { get; private set; }

        public bool IsOpening { get; private set; }

        public bool IsClosing { get; private set; }

        /// <summary>Extents that it gives back; empty for other requests.</summary>
        public ImmutableArray<Extent> Returning { get; private set; } = [];

        /// <summary>True when nobody wants these extents, and they are given back again when the coordinator is too busy; else they are kept then.</summary>
        public bool MustReturn { get; init; }

        /// <summary>What it turned out to ask for; the same each time that it is made.</summary>
        public void Note(EngineProtocol.IRequest request)
        {
            IsOpening = request is EngineProtocol.OpenPool;
            IsClosing = request is EngineProtocol.ClosePool;
            Pool = request switch
            {
                EngineProtocol.AllocatePages allocate => allocate.Pool,
                EngineProtocol.FreeExtents free => free.Pool,
                EngineProtocol.ClosePool close => close.Pool,
                _ => null,
            };
            Returning = request is EngineProtocol.FreeExtents { Extents: { IsDefault: false } extents } ? extents : [];
        }
    }
}
