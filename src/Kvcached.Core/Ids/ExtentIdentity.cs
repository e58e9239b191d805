namespace Kvcached.Core.Ids;

/// <summary>
/// Names the physical memory of one extent on one rank, across restarts and adoptions: who created it, which it was, and how
/// often it has been mapped since (the highest generation wins when two claim it).
/// </summary>
/// <param name="Creator">The host process that created the memory.</param>
/// <param name="Serial">Its number there, from 1.</param>
/// <param name="Generation">Generation of the grant that it backs (see <see cref="Paging.Extent"/>).</param>
public readonly record struct ExtentIdentity(HostIncarnation Creator, long Serial, uint Generation)
{
    public override string ToString() => $"memory-{Creator.Value:x}.{Serial}.{Generation}";
}
