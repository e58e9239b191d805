using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <content>
/// Others on a GPU: when they take so much that pools hold more than is left, pools give back what is warm, the longest idle first, then are asked to shrink,
/// all by the same part of what they hold above their floors; and nothing more is lent there. Pages in use are never taken.
/// </content>
internal sealed partial class DomainState
{
    /// <summary>A rank says how its device is shared with others.</summary>
    private void TakeDevice(RankView view, DeviceShare? device)
    {
        if (view.Device != device)
        {
            view.Device = device;
            FollowRoom(view);
        }
    }

    /// <summary>Room counts once the rank has said what it holds: before, its pools are still being put on the accounts, floors and all.</summary>
    private void FollowRoom(RankView view)
    {
        if (!view.HasReported)
        {
            return;
        }

        var before = view.Ledger.RoomBytes;
        view.Ledger.SetRoom(view.Device?.RoomBytes ?? long.MaxValue);
        FollowDevice(view);
        if (view.Ledger.RoomBytes > before)
        {
            MemoryWasFreed();
        }
    }

    private void FollowDevices()
    {
        foreach (var view in _ranks.Values)
        {
            FollowDevice(view);
        }
    }

    private void FollowDevice(RankView view)
    {
        if (view.Ledger.IsDeviceShort != view.IsNotedAsShort)
        {
            view.IsNotedAsShort = view.Ledger.IsDeviceShort;
            Note(view.IsNotedAsShort ? DomainEventKinds.DeviceShort : DomainEventKinds.DeviceEased,
                $"pools hold or are promised {Core.Units.ByteSize.Format(view.Ledger.HeldBytes)}; {view.Device}", gpu: view.Gpu);
        }

        if (view.Ledger.ExcessBytes > 0 && view.IsAvailable)
        {
            GiveWay(view);
        }
    }

    private void GiveWay(RankView view)
    {
        var excess = view.Ledger.ExcessBytes - ComingBack(view.Gpu);
        if (excess <= 0)
        {
            return;
        }

        var plan = ReclaimPlan.Choose(excess, default, WarmOn(view.Gpu, asking: null), view.Ledger);
        AskForWarm(plan.Revocations.Select(warm => (warm.Pool, warm.Extent)));
        if (_settings.ShrinkDeadline > TimeSpan.Zero && plan.MissingBytes > 0)
        {
            AskToShrink(
                GiveWayPlan.Choose(plan.MissingBytes, ShrinkCandidatesOn(view.Gpu, plan), view.Ledger).Select(share => (_pools[share.Pool], view.Gpu, share.ByteCount)),
                _now + _settings.ShrinkDeadline);
        }
    }

    /// <summary>True when memory given back could make room for what was refused.</summary>
    private bool IsReclaimable(LedgerRefusal refusal) =>
        refusal.Reason is LedgerRefusalReason.NotEnoughFree or LedgerRefusalReason.DeviceShort && !IsDeviceShort(refusal.Gpu);

    private bool IsDeviceShort(GpuId gpu) => _ranks.TryGetValue(gpu, out var view) && view.Ledger.IsDeviceShort;

    /// <summary>A sentence on others' use of the GPU; empty when it doesn't matter.</summary>
    private string OthersOn(GpuId gpu) =>
        _ranks.TryGetValue(gpu, out var view) && view.Ledger.RoomBytes < view.Ledger.LendableBytes ? $" Of {gpu}, {view.Device}." : string.Empty;
}
