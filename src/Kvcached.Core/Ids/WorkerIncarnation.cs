namespace Kvcached.Core.Ids;

/// <summary>One life of an engine worker: made when its library attaches first, the same when that process connects again.</summary>
public readonly record struct WorkerIncarnation(Guid Value)
{
    public static WorkerIncarnation New() => new(Guid.NewGuid());

    public override string ToString() => $"worker-{Value:N}"[..15];
}
