using Kvcached.Core.Ids;

namespace Kvcached.Core.Scheduling;

/// <summary>Hears of cached blocks that are being evicted, while their tags are still there. Must not call back.</summary>
public interface IEvictionSink
{
    void Evicting(int group, BlockId block, ReadOnlySpan<byte> tag);
}
