namespace Kvcached.Core.Decisions;

/// <summary>A typed "no": what was refused, on what, and what to do about it. Nothing changed.</summary>
/// <param name="Reason">For programs.</param>
/// <param name="Detail">For people: what failed, on what, what to do.</param>
/// <param name="RequestedBytes">What was asked for on the GPU that had too little; 0 where bytes don't matter.</param>
/// <param name="FreeBytes">What that GPU could have given; 0 where bytes don't matter.</param>
public sealed record Refusal(RefusalReason Reason, string Detail, long RequestedBytes = 0, long FreeBytes = 0)
{
    public override string ToString() => $"{Reason}: {Detail}";
}
