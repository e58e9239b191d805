namespace Kvcached.Router;

/// <summary>Ids of the router's own log events.</summary>
internal static class RouterEventIds
{
    public const int FellAsleep = 1;
    public const int Woke = 2;
    public const int SleepFailed = 3;
    public const int WakeFailed = 4;
    public const int NotDrained = 5;
    public const int Reloaded = 6;
    public const int ReloadFailed = 7;
    public const int ReplicaLost = 8;
    public const int ReplicaFound = 9;
    public const int RequestFault = 10;
    public const int ForwardFailed = 11;
}
