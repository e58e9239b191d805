using System.Buffers;

namespace Kvcached.Router.Proxy;

/// <summary>A request's body, read whole, within the budget of all of them. It is kept until the request ends, so that it can go to another replica.</summary>
internal sealed class BufferedBody : IDisposable
{
    private const int FirstBytes = 16 << 10;

    private readonly BodyBudget _budget;
    private byte[] _buffer = [];
    private int _count;

    private BufferedBody(BodyBudget budget) => _budget = budget;

    public ReadOnlySpan<byte> Bytes => _buffer.AsSpan(0, _count);

    /// <summary>Reads it.</summary>
    /// <returns>Null when the budget has no room for it.</returns>
    /// <exception cref="BadHttpRequestException">It is too long, too slow or cut off.</exception>
    public static async Task<BufferedBody?> ReadAsync(HttpRequest request, BodyBudget budget, CancellationToken cancellation)
    {
        var body = new BufferedBody(budget);
        try
        {
            // Grown as bytes come, not as a header promises: a promise costs its sender nothing.
            if (!body.TryGrow(FirstBytes))
            {
                body.Dispose();
                return null;
            }

            while (await request.Body.ReadAsync(body._buffer.AsMemory(body._count), cancellation) is var read && read > 0)
            {
                body._count += read;
                if (body._count == body._buffer.Length && !body.TryGrow(2L * body._buffer.Length))
                {
                    body.Dispose();
                    return null;
                }
            }

            return body;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <summary>The body from its beginning.</summary>
    public Stream Open() => new MemoryStream(_buffer, 0, _count, writable: false);

    public void Dispose()
    {
        if (_buffer.Length > 0)
        {
            _budget.GiveBack(_buffer.Length);
            ArrayPool<byte>.Shared.Return(_buffer);
            (_buffer, _count) = ([], 0);
        }
    }

    private bool TryGrow(long bytes)
    {
        if (bytes > Array.MaxLength)
        {
            return false;
        }

        // A pool's array may be larger than asked for; what it really is counts.
        var larger = ArrayPool<byte>.Shared.Rent((int)bytes);
        if (!_budget.TryTake(larger.Length - _buffer.Length))
        {
            ArrayPool<byte>.Shared.Return(larger);
            return false;
        }

        Bytes.CopyTo(larger);
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = larger;
        return true;
    }
}
