using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Kvcached.Core.Ids;

namespace Kvcached.Testing.Samples;

/// <summary>What the members of a made message look like.</summary>
public enum SampleStyle
{
    /// <summary>Random values, lists of up to four.</summary>
    Random,

    /// <summary>The smallest value of every number, empty texts, nulls where allowed, empty lists.</summary>
    Smallest,

    /// <summary>The largest value of every number, long texts beyond ASCII, lists of one.</summary>
    Largest,

    /// <summary>As random, with lists of thousands at the first level.</summary>
    LongLists,

    /// <summary>As random, with the default array for every list.</summary>
    DefaultLists,
}

/// <summary>Makes messages of any record type through its constructor and its other settable members, the same for the same seed.</summary>
/// <param name="style">What the members look like.</param>
/// <param name="seed">Equal seeds make equal messages.</param>
/// <param name="reference">What members of an interface's type get; null when no message has any.</param>
internal sealed class SampleMaker(SampleStyle style, int seed, object? reference = null)
{
    private readonly Random _random = new(seed);
    private int _depth;

    public object Make(Type type)
    {
        if (type == typeof(string))
        {
            return MakeText();
        }

        if (type.IsInterface)
        {
            return reference ?? throw new InvalidOperationException($"No {type.Name} was given to make messages with.");
        }

        if (type == typeof(GpuId))
        {
            return style == SampleStyle.Smallest ? default : GpuId.Parse(style == SampleStyle.Largest ? new string('Z', GpuId.MaxLength) : $"GPU-{_random.Next():x}");
        }

        if (type.IsEnum)
        {
            var values = Enum.GetValues(type);
            return values.GetValue(Pick(values.Length))!;
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ImmutableArray<>))
        {
            return typeof(SampleMaker).GetMethod(nameof(MakeList), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!
                .MakeGenericMethod(type.GetGenericArguments()[0]).Invoke(this, null)!;
        }

        return MakeNumber(type) ?? MakeRecord(type);
    }

    private object MakeRecord(Type type)
    {
        // Records have a copy constructor too; the one with the most parameters is theirs.
        var constructor = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First();
        var nullability = new System.Reflection.NullabilityInfoContext();
        _depth++;
        var parameters = constructor.GetParameters();
        var arguments = parameters.Select(parameter => MakeOrNull(parameter.ParameterType, nullability.Create(parameter))).ToArray();
        var made = constructor.Invoke(arguments);
        foreach (var member in type.GetProperties().Where(p => p.CanWrite && !p.GetMethod!.IsStatic && !parameters.Any(q => q.Name == p.Name)))
        {
            member.SetValue(made, MakeOrNull(member.PropertyType, nullability.Create(member)));
        }

        _depth--;
        return made;
    }

    private object? MakeOrNull(Type type, System.Reflection.NullabilityInfo nullability) =>
        !type.IsValueType && nullability.WriteState == System.Reflection.NullabilityState.Nullable
        && (style == SampleStyle.Smallest || (style == SampleStyle.Random && _random.Next(2) == 0))
            ? null
            : Make(type);

    private ImmutableArray<T> MakeList<T>()
    {
        if (style == SampleStyle.DefaultLists)
        {
            return default;
        }

        var count = style switch
        {
            SampleStyle.Smallest => 0,
            SampleStyle.Largest => 1,
            SampleStyle.LongLists => _depth == 1 ? 2000 : 2,
            _ => _random.Next(5),
        };
        var items = new T[count];
        for (var i = 0; i < count; i++)
        {
            items[i] = (T)Make(typeof(T));
        }

        return ImmutableCollectionsMarshal.AsImmutableArray(items);
    }

    private string MakeText() => style switch
    {
        SampleStyle.Smallest => string.Empty,
        SampleStyle.Largest => string.Concat(Enumerable.Repeat("größer als ASCII: 記憶 \U0001F9E0 \0 ", 100)),
        _ => $"text {_random.Next()}",
    };

    private object? MakeNumber(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => (byte)MakeInteger(byte.MinValue, byte.MaxValue),
        TypeCode.Int32 => (int)MakeInteger(int.MinValue, int.MaxValue),
        TypeCode.UInt32 => (uint)MakeInteger(uint.MinValue, uint.MaxValue),
        TypeCode.Int64 => MakeInteger(long.MinValue, long.MaxValue),
        TypeCode.Double => style switch { SampleStyle.Smallest => double.NegativeInfinity, SampleStyle.Largest => double.NaN, _ => _random.NextDouble() },
        TypeCode.Boolean => Pick(2) == 1,
        _ when type == typeof(TimeSpan) => new TimeSpan(MakeInteger(long.MinValue, long.MaxValue)),
        _ when type == typeof(UInt128) => new UInt128((ulong)MakeInteger(0, long.MaxValue), (ulong)MakeInteger(0, long.MaxValue)),
        _ when type == typeof(Guid) => style == SampleStyle.Smallest ? Guid.Empty : MakeGuid(),
        _ => null,
    };

    private Guid MakeGuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        _random.NextBytes(bytes);
        return new Guid(bytes);
    }

    private long MakeInteger(long smallest, long largest) => style switch
    {
        SampleStyle.Smallest => smallest,
        SampleStyle.Largest => largest,
        _ => _random.NextInt64(smallest, largest),
    };

    private int Pick(int count) => style switch
    {
        SampleStyle.Smallest => 0,
        SampleStyle.Largest => count - 1,
        _ => _random.Next(count),
    };
}
