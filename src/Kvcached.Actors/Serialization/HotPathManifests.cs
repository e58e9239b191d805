namespace Kvcached.Actors.Serialization;

/// <summary>
/// Names of the hot-path messages on the wire: conversation, message, version of its layout. Frozen: a message whose layout changes gets
/// a new version, and its old name is never used again.
/// </summary>
public static class HotPathManifests
{
    public const string Decide = "rd1";
    public const string DecideTraced = "rx1";
    public const string InstallTable = "rt1";
    public const string Decided = "ra1";
    public const string QuarantineCleared = "rq1";

    public const string OpenSession = "eo1";
    public const string SessionOpened = "es1";
    public const string AllocatePages = "ea1";
    public const string PagesAllocated = "ep1";
    public const string FreeExtents = "ef1";
    public const string ExtentsFreed = "ex1";
    public const string RequestRefused = "er1";
    public const string ReportWarmExtents = "ew1";
    public const string RevokeExtents = "ev1";
    public const string ShrinkRequested = "ek1";
    public const string RevokeAnswered = "eg1";
    public const string CheckExtents = "ec1";
    public const string ExtentsChecked = "eh1";

    public const string WriteStamps = "sw1";
    public const string VerifyStamps = "sv1";
    public const string StampsDone = "sd1";
    public const string StampsFailed = "sf1";
}
