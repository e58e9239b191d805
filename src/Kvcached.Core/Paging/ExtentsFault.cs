namespace Kvcached.Core.Paging;

/// <summary>Outcome of an operation on several extents that happens for all of them or for none.</summary>
/// <param name="Fault">What was wrong; <see cref="ExtentFault.None"/> when the operation was done.</param>
/// <param name="Index">Position of the first offender in what was passed; -1 when there was none.</param>
public readonly record struct ExtentsFault(ExtentFault Fault, int Index)
{
    /// <summary>The operation was done.</summary>
    public static ExtentsFault None => new(ExtentFault.None, -1);

    public bool IsNone => Fault == ExtentFault.None;
}
