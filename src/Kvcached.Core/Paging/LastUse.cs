namespace Kvcached.Core.Paging;

/// <summary>When blocks were given up.</summary>
/// <param name="Step">
/// The last engine step that read or wrote them, from 1: their extent is unmapped only after all ranks have completed it. 0 = no
/// step to wait for.
/// </param>
/// <param name="Time">Monotonic time, from any origin that the caller keeps to.</param>
public readonly record struct LastUse(long Step, TimeSpan Time);
