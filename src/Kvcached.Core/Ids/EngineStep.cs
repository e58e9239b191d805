using System.Globalization;

namespace Kvcached.Core.Ids;

/// <summary>
/// A step of an engine, numbered from 1 by its scheduler: the fence of what it gives up. Kernels run in the workers, possibly steps behind
/// the scheduler, so memory is unmapped only after every rank has completed the last step that used it. Below 1: none.
/// </summary>
public readonly record struct EngineStep(long Value) : IComparable<EngineStep>
{
    /// <summary>No step to wait for: the engine guarantees that nothing uses the memory any more.</summary>
    public static EngineStep None => default;

    /// <summary>Wait for all work that the worker has submitted: for engines that don't count steps.</summary>
    public static EngineStep Sync => new(long.MaxValue);

    public int CompareTo(EngineStep other) => Value.CompareTo(other.Value);

    public static bool operator <(EngineStep left, EngineStep right) => left.Value < right.Value;

    public static bool operator >(EngineStep left, EngineStep right) => left.Value > right.Value;

    public static bool operator <=(EngineStep left, EngineStep right) => left.Value <= right.Value;

    public static bool operator >=(EngineStep left, EngineStep right) => left.Value >= right.Value;

    /// <summary>The later of two fences: what honours it honours both.</summary>
    public static EngineStep Later(EngineStep left, EngineStep right) => left < right ? right : left;

    public override string ToString() => this == Sync ? "all submitted work" : string.Create(CultureInfo.InvariantCulture, $"step {Value}");
}
