using System.Diagnostics.CodeAnalysis;
using Kvcached.Core.Decisions;

namespace Kvcached.Client;

/// <summary>Either a value or a typed refusal.</summary>
/// <param name="Value">What was asked for; meaningless when refused.</param>
/// <param name="Refusal">Why it was refused; null when it was granted.</param>
public readonly record struct ClientResult<T>(T? Value, Refusal? Refusal)
{
    [MemberNotNullWhen(true, nameof(Value))]
    [MemberNotNullWhen(false, nameof(Refusal))]
    public bool IsGranted => Refusal is null;

    public static implicit operator ClientResult<T>(Refusal refusal) => new(default, refusal);

    public static implicit operator ClientResult<T>(T value) => new(value, null);
}
