using Kvcached.Gpu.DeviceCheck.Checks;
using Kvcached.Gpu.DeviceCheck.Rigs;

namespace Kvcached.Gpu.DeviceCheck;

/// <summary>One thing that must hold on every backend.</summary>
/// <param name="Name">A sentence in the form of a test name.</param>
/// <param name="Run">Throws <see cref="CheckFailedException"/>, or whatever went wrong.</param>
public sealed record Check(string Name, Action<ICheckRig> Run)
{
    /// <summary>All of them. Named one by one: a trimmed program has no reflection to find them with.</summary>
    public static IReadOnlyList<Check> All { get; } =
        [.. VirtualMemoryContract.All, .. SharingContract.All, .. ZeroGuardChecks.All, .. PagePoolChecks.All, .. PagePoolFailureChecks.All];

    public override string ToString() => Name;
}
