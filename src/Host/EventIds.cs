namespace Kvcached.Host;

/// <summary>Ids of the host's own log events.</summary>
internal static class EventIds
{
    public const int ManagementFault = 1;
    public const int StartFailed = 2;
    public const int GatewayFault = 3;
    public const int GatewayExhausted = 4;
    public const int GatewayRefused = 5;
    public const int GatewayEnding = 6;
}
