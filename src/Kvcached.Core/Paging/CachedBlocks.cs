namespace Kvcached.Core.Paging;

/// <summary>The cached blocks in the order of their last use. Each operation takes constant time.</summary>
internal sealed class CachedBlocks(int blockCount)
{
    private readonly (int Newer, int Older)[] _links = new (int, int)[blockCount];
    private int _newest = -1;

    /// <summary>The least recently used, or -1.</summary>
    public int Oldest { get; private set; } = -1;

    public void AddNewest(int block)
    {
        _links[block] = (-1, _newest);
        if (_newest >= 0)
        {
            _links[_newest].Newer = block;
        }
        else
        {
            Oldest = block;
        }

        _newest = block;
    }

    public void Remove(int block)
    {
        var (newer, older) = _links[block];
        if (older >= 0)
        {
            _links[older].Newer = newer;
        }
        else
        {
            Oldest = newer;
        }

        if (newer >= 0)
        {
            _links[newer].Older = older;
        }
        else
        {
            _newest = older;
        }
    }
}
