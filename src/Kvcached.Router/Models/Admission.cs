using System.Diagnostics.CodeAnalysis;

namespace Kvcached.Router.Models;

/// <summary>Why a request isn't let in.</summary>
internal enum RefusalKind
{
    /// <summary>As many wait as may.</summary>
    QueueFull,

    /// <summary>It has waited as long as it may.</summary>
    QueueDeadline,

    /// <summary>No engine of the model can be reached.</summary>
    NoReplica,

    /// <summary>The model sleeps, and waking takes longer than the request may wait. It is being woken.</summary>
    WakeTooSlow,

    /// <summary>The model could not be woken.</summary>
    WakeFailed,

    /// <summary>The model is no longer configured.</summary>
    Removed,
}

/// <summary>A refusal, and when it makes sense to try again.</summary>
internal sealed record Refusal(RefusalKind Kind, TimeSpan RetryAfter);

/// <summary>A request that was let in: the replica that it holds a place of, until it leaves.</summary>
internal sealed class Ticket(Replica replica, TimeSpan? wakeWait)
{
    public Replica Replica { get; } = replica;

    /// <summary>How long it waited for the model to wake; null when the model was awake.</summary>
    public TimeSpan? WakeWait { get; } = wakeWait;

    public bool HasLeft { get; set; }
}

/// <summary>Let in, or refused.</summary>
internal readonly struct Admission
{
    private readonly Ticket? _ticket;
    private readonly Refusal? _refusal;

    private Admission(Ticket? ticket, Refusal? refusal) => (_ticket, _refusal) = (ticket, refusal);

    public static Admission Granted(Ticket ticket) => new(ticket, null);

    public static Admission Refused(RefusalKind kind, TimeSpan retryAfter) => new(null, new Refusal(kind, retryAfter));

    public bool IsRefused([NotNullWhen(true)] out Refusal? refusal, [NotNullWhen(false)] out Ticket? ticket)
    {
        (refusal, ticket) = (_refusal, _ticket);
        return _refusal is not null;
    }
}
