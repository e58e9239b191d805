namespace Kvcached.Core.Contracts;

/// <summary>What is wrong with bytes that could not be read.</summary>
public enum WireFault : byte
{
    /// <summary>Nothing so far.</summary>
    None = 0,

    /// <summary>The bytes end before the value does.</summary>
    Truncated = 1,

    /// <summary>A count or length is negative, or more than the bytes that follow can hold.</summary>
    BadCount = 2,

    /// <summary>A text is no UTF-8, is missing where one is required, or isn't of the form that it must have.</summary>
    BadText = 3,

    /// <summary>A value of an enumeration or a flag isn't defined.</summary>
    UndefinedValue = 4,

    /// <summary>Bytes are left over after the value.</summary>
    TrailingBytes = 5,
}
