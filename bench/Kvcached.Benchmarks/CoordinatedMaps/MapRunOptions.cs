namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>How the processes of a run are set up.</summary>
/// <param name="HostCount">Ranks, a process each.</param>
/// <param name="Kept"><c>on</c> or <c>off</c>: whether pages that come back keep their handles.</param>
/// <param name="Echo"><c>default</c> or <c>pinned</c>: the dispatcher of the echoes; page mappers have a pinned one.</param>
/// <param name="Spin">How long page mappers' threads look for work before they sleep, as HOCON; empty = as hosts have it.</param>
/// <param name="Link"><c>akka</c> or <c>local</c>: how the coordinator reaches ranks.</param>
internal sealed record MapRunOptions(int HostCount, string Kept, string Echo, string Spin, string Link);
