namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <summary>One direction between two parties: delivers in order, but can hold, lose and double messages.</summary>
internal sealed class Link(string name)
{
    private readonly Queue<object> _messages = new();

    public string Name { get; } = name;

    /// <summary>Messages wait until it is let go.</summary>
    public bool IsHeld { get; set; }

    /// <summary>Says which messages are lost; null loses none.</summary>
    public Func<object, bool>? Loses { get; set; }

    /// <summary>How many of the next messages are lost.</summary>
    public int LosesNext { get; set; }

    /// <summary>How many of the next messages come twice.</summary>
    public int DoublesNext { get; set; }

    public int Waiting => _messages.Count;

    public bool CanDeliver => !IsHeld && _messages.Count > 0;

    /// <summary>All that was ever sent, the lost ones too.</summary>
    public List<object> Sent { get; } = [];

    public void Send(object message)
    {
        Sent.Add(message);
        if (LosesNext > 0)
        {
            LosesNext--;
            return;
        }

        if (Loses is { } loses && loses(message))
        {
            return;
        }

        _messages.Enqueue(message);
        if (DoublesNext > 0)
        {
            DoublesNext--;
            _messages.Enqueue(message);
        }
    }

    /// <summary>What is on its way is lost with whom it is for.</summary>
    public void Clear() => _messages.Clear();

    public object Take() => _messages.Dequeue();

    public void Heal()
    {
        IsHeld = false;
        Loses = null;
        LosesNext = 0;
        DoublesNext = 0;
    }
}
