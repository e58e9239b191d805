namespace Kvcached.Router.Proxy;

/// <summary>Bounds what bodies of all requests together hold in memory.</summary>
internal sealed class BodyBudget(long maxBytes)
{
    private long _usedBytes;

    public long UsedBytes => Interlocked.Read(ref _usedBytes);

    /// <returns>False when it isn't to be had; nothing is taken then.</returns>
    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref _usedBytes, bytes) <= maxBytes)
        {
            return true;
        }

        GiveBack(bytes);
        return false;
    }

    public void GiveBack(long bytes) => Interlocked.Add(ref _usedBytes, -bytes);
}
