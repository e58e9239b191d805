using Kvcached.Core.Scheduling;

namespace Kvcached.Core.Tests.Scheduling;

public sealed class LeaseFenceTests
{
    private readonly Clock _clock = new();
    private readonly LeaseFence _lease;

    public LeaseFenceTests() => _lease = new LeaseFence(_clock);

    [Fact]
    public void IsHeld_BeforeAnyConfirmation_IsFalse()
    {
        _lease.Sent();
        Assert.False(_lease.IsHeld);
        Assert.False(_lease.WasEverHeld);
    }

    [Fact]
    public void IsHeld_AfterConfirmation_LastsNineTenthsFromTheRenewalThatWasSentFirst()
    {
        _lease.Sent();
        _clock.Advance(1.0);
        _lease.Sent();
        _clock.Advance(0.5);
        _lease.Confirmed(TimeSpan.FromSeconds(3));
        _clock.Advance(1.19);
        Assert.True(_lease.IsHeld);
        _clock.Advance(0.02);
        Assert.False(_lease.IsHeld);
    }

    [Fact]
    public void Confirmed_WithNothingSent_ProlongsNothing()
    {
        _lease.Sent();
        _lease.Confirmed(TimeSpan.FromSeconds(3));
        _clock.Advance(2);
        _lease.Confirmed(TimeSpan.FromSeconds(3));
        _clock.Advance(1);
        Assert.False(_lease.IsHeld);
    }

    [Fact]
    public void End_OfAHeldLease_IsAtOnce()
    {
        _lease.Sent();
        _lease.Confirmed(TimeSpan.FromSeconds(3));
        Assert.True(_lease.IsHeld);
        _lease.End();
        Assert.False(_lease.IsHeld);
    }

    private sealed class Clock : TimeProvider
    {
        private long _ticks = 1;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(double seconds) => _ticks += TimeSpan.FromSeconds(seconds).Ticks;
    }
}
