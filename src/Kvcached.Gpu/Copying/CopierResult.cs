using System.Diagnostics.CodeAnalysis;

namespace Kvcached.Gpu.Copying;

/// <summary>The value that a call gave, or why there is none.</summary>
public readonly record struct CopierResult<T>
    where T : class
{
    private CopierResult(T? value, CopierFailure? failure) => (Value, Failure) = (value, failure);

    /// <summary>The value; null on failure.</summary>
    public T? Value { get; }

    /// <summary>Why there is no value; null on success.</summary>
    public CopierFailure? Failure { get; }

    [MemberNotNullWhen(true, nameof(Value))]
    [MemberNotNullWhen(false, nameof(Failure))]
    public bool IsOk => Value is not null;

    public static implicit operator CopierResult<T>(T value) => new(value, null);

    public static implicit operator CopierResult<T>(CopierFailure failure) => new(null, failure);
}
