namespace Kvcached.Core.Ids;

/// <summary>One connection of an engine's scheduler, from opening to closing or the end of its lease.</summary>
public readonly record struct SessionId(Guid Value)
{
    public static SessionId New() => new(Guid.NewGuid());

    public override string ToString() => $"session-{Value:N}"[..16];
}

/// <summary>
/// Number of a request within its session, rising from 1. A request that is sent again keeps its id and gets the same answer.
/// </summary>
public readonly record struct RequestId(long Value)
{
    public override string ToString() => $"request-{Value}";
}
