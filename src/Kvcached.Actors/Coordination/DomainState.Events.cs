using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>What has happened, for people: the latest events, which hosts read when somebody looks.</content>
internal sealed partial class DomainState
{
    private const int MaxEvents = 1024;
    private const int MaxEventsPerAnswer = 256;

    private readonly Queue<(TimeSpan At, DomainEvent Event)> _events = new();
    private long _lastEvent;

    /// <summary>Events after that one; from the oldest that is remembered when the reader knows another coordinator's.</summary>
    public OperatorProtocol.EventsRead ReadEvents(TimeSpan now, OperatorProtocol.ReadEvents command)
    {
        var after = command.Epoch == Epoch ? command.After : 0;
        ImmutableArray<DomainEvent> events =
            [.. _events.Where(e => e.Event.Serial > after).Take(MaxEventsPerAnswer).Select(e => e.Event with { AgeMilliseconds = (long)(now - e.At).TotalMilliseconds })];
        return new OperatorProtocol.EventsRead(Epoch, events, _lastEvent);
    }

    /// <summary>Remembers something that an operator was warned of.</summary>
    public void NoteWarning(string what) => Note(DomainEventKinds.Warning, what);

    private void Note(string kind, string detail, PoolState? pool = null, GpuId? gpu = null)
    {
        if (_events.Count == MaxEvents)
        {
            _events.Dequeue();
        }

        _events.Enqueue((_now, new DomainEvent(++_lastEvent, 0, kind, pool?.Spec.Name ?? string.Empty, gpu?.Value ?? string.Empty, detail)));
    }
}
