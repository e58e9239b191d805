using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Coordination;

/// <summary>Deadlines and bounds of the coordinator; see <see cref="Hosting.RankHostOptions"/> for what they mean to a user.</summary>
internal sealed record CoordinatorSettings
{
    public required string Domain { get; init; }

    public int ExpectedHosts { get; init; } = 1;

    /// <summary>False to reach every rank by Akka.Remote, also where a lane could be had.</summary>
    public bool MayUseLanes { get; init; } = true;

    /// <summary>Ranks answer a decision by then: a map is aborted, an unmap leaves the extent quarantined.</summary>
    public TimeSpan DecisionDeadline { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>What a rank hasn't answered is sent again after this long.</summary>
    public TimeSpan ResendInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Ranks open a pool (reserve its arena, create its floor) by then. Closing it takes as long as it must, but its engine is answered by then.</summary>
    public TimeSpan OpenDeadline { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>An engine that returns extents is answered by then, even when their turn hasn't come.</summary>
    public TimeSpan ReturnDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A new coordinator gives up a pool when not all its ranks have said by then what they hold.</summary>
    public TimeSpan RecoveryDeadline { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A session that isn't renewed for so long ends.</summary>
    public TimeSpan SessionLease { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A pool of a session that wasn't renewed is kept for so long, for another session to take it over; zero closes it at once.</summary>
    public TimeSpan ReopenWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A pool whose worker on some rank went is withdrawn when none attaches there for so long.</summary>
    public TimeSpan ReattachWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A host that ended is back by then, or pools whose workers keep its memory are given up.</summary>
    public TimeSpan HostReturnWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The engine of a lost pool closes it by then; later its memory is quarantined until its workers end.</summary>
    public TimeSpan QuiesceWindow { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>An engine answers a revoke by then.</summary>
    public TimeSpan RevokeDeadline { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>A pool that was asked to shrink gives back by then; zero = none is asked.</summary>
    public TimeSpan ShrinkDeadline { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Who makes room for whom.</summary>
    public ISharingPolicy SharingPolicy { get; init; } = SharingPolicies.Default;

    /// <summary>A pool that didn't shrink when asked is left alone for so long.</summary>
    public TimeSpan ShrinkPause { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Longest deadline that an engine may set for a request.</summary>
    public TimeSpan MaxRequestDeadline { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>An extent takes at most its pool's limit divided by this.</summary>
    public int ExtentShareDivisor { get; init; } = 16;

    /// <summary>Requests that may wait for one pool.</summary>
    public int MaxWaitingRequestsPerPool { get; init; } = 1024;

    /// <summary>Answers of one session that it hasn't acknowledged, at most.</summary>
    public int MaxUnackedAnswersPerSession { get; init; } = 4096;

    /// <summary>Decisions of a pool that can be replayed; a rank further behind gets the whole table.</summary>
    public int MaxLoggedDecisions { get; init; } = 256;
}
