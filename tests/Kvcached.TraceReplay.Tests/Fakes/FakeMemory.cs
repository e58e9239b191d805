namespace Kvcached.TraceReplay.Tests.Fakes;

/// <summary>Pages of one GPU, shared by fake pools.</summary>
internal sealed class FakeMemory(int pageCount)
{
    /// <summary>Pages that nobody holds; a test may change it at any time.</summary>
    public int FreePages { get; set; } = pageCount;

    public bool TryTake(int pages)
    {
        if (pages > FreePages)
        {
            return false;
        }

        FreePages -= pages;
        return true;
    }
}
