namespace Kvcached.Router.Models;

/// <summary>One engine that serves a model. Its counters belong to the model's gate, which alone changes them.</summary>
internal sealed class Replica(Uri address)
{
    private volatile bool _isHealthy = true;
    private volatile bool _needsWake;

    /// <summary>Base address, without a trailing slash in <see cref="Prefix"/>.</summary>
    public Uri Address { get; } = address;

    public string Prefix { get; } = address.AbsoluteUri.TrimEnd('/');

    /// <summary>Requests that it works on.</summary>
    public int Outstanding { get; set; }

    /// <summary>Whether it is given requests. Taken to be well until a connection or a check fails.</summary>
    public bool IsHealthy
    {
        get => _isHealthy;
        set => _isHealthy = value;
    }

    /// <summary>Whether it may still be asleep though its model isn't, since it couldn't be woken: it is woken before it counts as well again.</summary>
    public bool NeedsWake
    {
        get => _needsWake;
        set => _needsWake = value;
    }
}
