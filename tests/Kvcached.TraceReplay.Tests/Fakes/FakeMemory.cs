namespace Kvcached.TraceReplay.Tests.Fakes;

/// <summary>Pages of one GPU, shared by fake pools.</summary>
internal sealed class FakeMemory(int pageCount)
{
    private readonly Lock _lock = new();
    private int _freePages = pageCount;

    public bool TryTake(int pages)
    {
        lock (_lock)
        {
            if (pages > _freePages)
            {
                return false;
            }

            _freePages -= pages;
            return true;
        }
    }

    public void Return(int pages)
    {
        lock (_lock)
        {
            _freePages += pages;
        }
    }
}
