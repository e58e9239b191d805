using System.Diagnostics;

namespace Kvcached.Actors.Telemetry;

/// <summary>
/// While one is alive no span is the current one of this flow, and afterwards the same is as before: spans of decisions begin in one message and end in another, so
/// that whatever else runs on the thread must not take them for its own.
/// </summary>
internal readonly ref struct QuietSpans
{
    private readonly Activity? _before;

    public QuietSpans()
    {
        _before = Activity.Current;
        Activity.Current = null;
    }

    public void Dispose() => Activity.Current = _before;
}
