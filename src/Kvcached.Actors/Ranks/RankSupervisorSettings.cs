using Akka.Actor;

namespace Kvcached.Actors.Ranks;

/// <summary>What a rank's supervisor is given.</summary>
internal sealed record RankSupervisorSettings
{
    public required RankState State { get; init; }

    public required CopierHoldings Holdings { get; init; }

    public required IActorRef Coordinator { get; init; }

    public required IActorRef DataChecker { get; init; }

    public required string Domain { get; init; }

    public required string DeviceName { get; init; }

    /// <summary>Dispatcher with a thread of its own, since driver calls block.</summary>
    public required string MapperDispatcher { get; init; }

    public required TimeSpan RegisterInterval { get; init; }

    public required TimeSpan HousekeepingInterval { get; init; }

    public required TimeSpan WorkerDeadline { get; init; }

    /// <summary>How it looks at what others use of its device; null = not at all.</summary>
    public DeviceWatchSettings? DeviceWatch { get; init; }

    /// <summary>Directory, private to the user, for the socket at which coordinators of this machine find the rank; null = by Akka.Remote only.</summary>
    public string? LaneDirectory { get; init; }
}
