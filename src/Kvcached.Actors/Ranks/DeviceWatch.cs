using Akka.Actor;
using Akka.Event;
using Kvcached.Core.Sharing;
using Kvcached.Gpu.Devices;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Looks again and again at how much of the rank's device others use, and tells its supervisor when that leaves another room to pools. The driver is asked
/// elsewhere, since it may hang: then the last answer stays.
/// </summary>
internal sealed class DeviceWatch : UntypedActor, IWithTimers
{
    private readonly RankState _state;
    private readonly IDeviceMeter _meter;
    private readonly DeviceRoom _room;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly long _origin;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private bool _isLooking;
    private string _problem = string.Empty;

    public DeviceWatch(RankState state, DeviceWatchSettings settings, TimeSpan interval)
    {
        (_state, _meter, _time, _interval) = (state, settings.Meter, settings.Time, interval);
        _room = new DeviceRoom(settings.HeadroomBytes, settings.Calm);
        _origin = _time.GetTimestamp();
    }

    private sealed class Look : INotInfluenceReceiveTimeout, INoSerializationVerificationNeeded
    {
        public static Look Instance { get; } = new();
    }

    /// <summary>There is another room for pools than there was: <see cref="RankState.Device"/>.</summary>
    internal sealed class Changed : INoSerializationVerificationNeeded
    {
        public static Changed Instance { get; } = new();
    }

    /// <param name="Use">What the driver said; null when it didn't.</param>
    /// <param name="OwnBytes">What existed for pools around that moment.</param>
    /// <param name="Problem">Why it didn't.</param>
    private sealed record Seen(DeviceUse? Use, long OwnBytes, string Problem) : INoSerializationVerificationNeeded;

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(RankState state, DeviceWatchSettings settings, TimeSpan interval) =>
        Akka.Actor.Props.Create(() => new DeviceWatch(state, settings, interval));

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(Look), Look.Instance, _interval);
        Self.Tell(Look.Instance);
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Look when !_isLooking:
                _isLooking = true;
                var (state, meter) = (_state, _meter);
                Task.Run(() => See(state, meter)).PipeTo(Self, failure: exception => new Seen(null, 0, exception.Message));
                break;
            case Look:
                break;
            case Seen seen:
                _isLooking = false;
                Take(seen);
                break;
            default:
                Unhandled(message);
                break;
        }
    }

    private static Seen See(RankState state, IDeviceMeter meter)
    {
        var before = state.Pages.Snapshot().ExistingBytes;
        return meter.TryRead(out var use, out var problem)
            ? new Seen(use, Math.Max(before, state.Pages.Snapshot().ExistingBytes), string.Empty)
            : new Seen(null, 0, problem);
    }

    private void Take(Seen seen)
    {
        if (seen.Use is not { } use)
        {
            if (seen.Problem != _problem)
            {
                _log.Warning("What others use of {Gpu} isn't known; what was known last goes on to hold: {Problem}", _state.Pages.Gpu, seen.Problem);
            }

            _problem = seen.Problem;
            return;
        }

        _problem = string.Empty;
        var share = _room.Take(_time.GetElapsedTime(_origin), use.TotalBytes, use.UsedBytes, seen.OwnBytes);
        if (share != _state.Device)
        {
            _state.Device = share;
            Context.Parent.Tell(Changed.Instance);
        }
    }
}

/// <summary>How a rank looks at its device.</summary>
/// <param name="Meter">Tells what is in use.</param>
/// <param name="HeadroomBytes">What is kept free besides what others use, from 0.</param>
/// <param name="Calm">For how long the greatest use by others counts.</param>
/// <param name="Time">The clock.</param>
public sealed record DeviceWatchSettings(IDeviceMeter Meter, long HeadroomBytes, TimeSpan Calm, TimeProvider Time);
