namespace Kvcached.Host;

/// <summary>Ids of the host's own log events.</summary>
internal static class EventIds
{
    public const int ManagementFault = 1;
    public const int StartFailed = 2;
}
