namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>How the processes of a run are set up.</summary>
/// <param name="HostCount">Ranks, a process each.</param>
/// <param name="Kept"><c>on</c> or <c>off</c>: whether pages that come back keep their handles.</param>
/// <param name="Echo"><c>default</c> or <c>pinned</c>: the dispatcher of the echoes; page mappers have a pinned one.</param>
internal sealed record MapRunOptions(int HostCount, string Kept, string Echo);
