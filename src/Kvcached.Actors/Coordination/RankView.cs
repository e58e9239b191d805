using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <summary>One rank (GPU) of the domain, as the coordinator sees it.</summary>
internal sealed class RankView(RankProtocol.RegisterRank registration, string address)
{
    public GpuId Gpu { get; } = registration.Gpu;

    public HostIncarnation Incarnation { get; } = registration.Incarnation;

    public string Address { get; } = address;

    public string DeviceName { get; } = registration.DeviceName;

    public string Backend { get; } = registration.Backend;

    public long GranularityBytes { get; } = registration.GranularityBytes;

    public GpuLedger Ledger { get; } = new(registration.Gpu, registration.CapacityBytes, headroomBytes: 0);

    /// <summary>How its device is shared with others; null = nobody looks.</summary>
    public DeviceShare? Device { get; set; }

    /// <summary>True while an operator's attention has been called to too little room.</summary>
    public bool IsNotedAsShort { get; set; }

    /// <summary>True while an operator has it drained.</summary>
    public bool IsDraining { get; set; } = registration.IsDraining;

    /// <summary>What an operator told this coordinator and the rank hasn't confirmed yet; null when they agree.</summary>
    public bool? UnconfirmedDraining { get; set; }

    /// <summary>False while its node can't be reached; it may still hold memory.</summary>
    public bool IsReachable { get; set; } = true;

    /// <summary>True once it has said, in this epoch, what it holds. Until then it is never taken for empty.</summary>
    public bool HasReported { get; set; }

    /// <summary>For people: whom its host waits for to learn what workers have kept; null when it knows. Until then it is asked nothing.</summary>
    public string? Awaited { get; set; } = registration.IsRecovering ? registration.Awaited : null;

    public bool IsAvailable => IsReachable && HasReported;
}
