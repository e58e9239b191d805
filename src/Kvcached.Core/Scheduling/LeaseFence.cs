namespace Kvcached.Core.Scheduling;

/// <summary>
/// Whether an engine may still use what its session lends it. It stops sooner than the coordinator counts the lease as over, so that no block is
/// handed out of memory that is being taken away. May be asked by any thread; told by one at a time.
/// </summary>
/// <param name="time">A clock that goes on while the machine sleeps and the process is stopped.</param>
public sealed class LeaseFence(TimeProvider time)
{
    /// <summary>Share of the lease that is used.</summary>
    public const double ShareToUse = 0.9;

    private long _unconfirmedSince = long.MinValue;
    private long _endsAt = long.MinValue;

    /// <summary>How long a lease lasts without being renewed; a guess until the first is confirmed.</summary>
    public TimeSpan Lease { get; private set; } = TimeSpan.FromSeconds(3);

    /// <summary>True once a lease was ever confirmed.</summary>
    public bool WasEverHeld => Volatile.Read(ref _endsAt) != long.MinValue;

    /// <summary>True while the lease lasts, with room to spare.</summary>
    public bool IsHeld => time.GetTimestamp() < Volatile.Read(ref _endsAt);

    /// <summary>
    /// True when little of what may be used is left, so that waiting for the next turn to renew could be too long: the answers to several renewals were
    /// lost, and the one that came counts from the first of them.
    /// </summary>
    public bool IsShort => Volatile.Read(ref _endsAt) - time.GetTimestamp() < Lease.TotalSeconds * time.TimestampFrequency / 2;

    /// <summary>
    /// A renewal was sent. Which of those since the last answer it is that the next answer confirms, nobody knows: the first, to be sure.
    /// </summary>
    public void Sent()
    {
        if (_unconfirmedSince == long.MinValue)
        {
            _unconfirmedSince = time.GetTimestamp();
        }
    }

    /// <summary>The coordinator has the session, and counts its lease from a renewal that it got. An answer to nothing changes nothing.</summary>
    public void Confirmed(TimeSpan lease)
    {
        if (_unconfirmedSince == long.MinValue)
        {
            return;
        }

        Lease = lease;
        var end = _unconfirmedSince + (long)(lease.TotalSeconds * ShareToUse * time.TimestampFrequency);
        Volatile.Write(ref _endsAt, Math.Max(end, _endsAt));
        _unconfirmedSince = long.MinValue;
    }

    /// <summary>It is over, whatever the time.</summary>
    public void End() => Volatile.Write(ref _endsAt, long.MinValue + 1);
}
