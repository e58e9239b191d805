using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Kvcached.Core.Units;

namespace Kvcached.Core.Sharing;

/// <summary>In what a <see cref="MemoryAmount"/> is given.</summary>
public enum MemoryUnit : byte
{
    /// <summary>Not given: in a change, it stays as it is; in a policy, it is what the engine asked for.</summary>
    None = 0,

    /// <summary>Bytes, from 0.</summary>
    Bytes = 1,

    /// <summary>Hundredths of a percent of what a GPU lends, 0 to 10,000.</summary>
    BasisPoints = 2,

    /// <summary>In a change: what the engine asked for counts again.</summary>
    AsOpened = 3,
}

/// <summary>An amount of a GPU's memory, as an operator gives it: absolute, or relative to what the GPU lends.</summary>
/// <param name="Unit">How it is given.</param>
/// <param name="Value">In that unit; 0 for units without one.</param>
public readonly record struct MemoryAmount(MemoryUnit Unit, long Value)
{
    /// <summary>What <see cref="TryParse"/> reads as <see cref="MemoryUnit.AsOpened"/>.</summary>
    public const string AsOpenedText = "default";

    private const long AllBasisPoints = 10_000;

    /// <summary>No amount.</summary>
    public static MemoryAmount None { get; }

    /// <summary>What the engine asked for.</summary>
    public static MemoryAmount AsOpened { get; } = new(MemoryUnit.AsOpened, 0);

    public bool IsNone => Unit == MemoryUnit.None;

    /// <summary>True when the value is one that its unit allows.</summary>
    public bool IsSound => Unit switch
    {
        MemoryUnit.Bytes => Value >= 0,
        MemoryUnit.BasisPoints => Value is >= 0 and <= AllBasisPoints,
        MemoryUnit.None or MemoryUnit.AsOpened => Value == 0,
        _ => false,
    };

    public static MemoryAmount OfBytes(long bytes) => new(MemoryUnit.Bytes, bytes);

    /// <summary>A part of what a GPU lends, to two decimals.</summary>
    /// <param name="percent">0 to 100.</param>
    public static MemoryAmount OfPercent(decimal percent) => new(MemoryUnit.BasisPoints, (long)decimal.Round(percent * 100, MidpointRounding.AwayFromZero));

    /// <summary>Bytes on a GPU that lends so much; 0 for an amount that isn't given.</summary>
    public long BytesOf(long capacityBytes) => Unit switch
    {
        MemoryUnit.Bytes => Value,
        MemoryUnit.BasisPoints => (long)((Int128)capacityBytes * Value / AllBasisPoints),
        _ => 0,
    };

    /// <summary>Reads <c>20GiB</c>, <c>2097152</c>, <c>37.5%</c> or <c>default</c>; sizes as <see cref="ByteSize"/> does.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MemoryAmount amount)
    {
        amount = None;
        var trimmed = text?.Trim() ?? string.Empty;
        if (trimmed.Equals(AsOpenedText, StringComparison.OrdinalIgnoreCase))
        {
            amount = AsOpened;
            return true;
        }

        if (trimmed.EndsWith('%'))
        {
            if (!decimal.TryParse(trimmed.AsSpan(0, trimmed.Length - 1).TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var percent)
                || percent > 100)
            {
                return false;
            }

            amount = OfPercent(percent);
            return true;
        }

        if (!ByteSize.TryParse(trimmed, out var bytes))
        {
            return false;
        }

        amount = OfBytes(bytes);
        return true;
    }

    /// <summary>As <see cref="TryParse"/> reads it; bytes as a plain number, so that none are lost. Empty for none.</summary>
    public override string ToString() => Unit switch
    {
        MemoryUnit.Bytes => Value.ToString(CultureInfo.InvariantCulture),
        MemoryUnit.BasisPoints => string.Create(CultureInfo.InvariantCulture, $"{Value / 100m:0.##}%"),
        MemoryUnit.AsOpened => AsOpenedText,
        _ => string.Empty,
    };
}
