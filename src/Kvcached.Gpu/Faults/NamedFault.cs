using System.Globalization;
using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Faults;

/// <summary>One driver call that is to go wrong, as tests name it to a process of their own: <c>STEP:N:CODE</c>.</summary>
/// <param name="Operation">Whose calls are counted; null = those of all operations together.</param>
/// <param name="Call">Number of the call, from 1.</param>
/// <param name="Code">What it answers; null = it never returns.</param>
public readonly record struct NamedFault(VirtualMemoryOperation? Operation, long Call, DriverCode? Code)
{
    /// <summary>What <see cref="TryParse"/> takes, for people.</summary>
    public const string Allowed =
        "STEP:N:CODE with a step of any, reserve, free, create, map, setaccess, unmap, release, export or import, the number of its call from 1, and a code of the driver by name or number, or hang; such as create:2:OutOfMemory";

    /// <summary>Reads <c>STEP:N:CODE</c>, whatever the case of its letters; false when it is something else.</summary>
    public static bool TryParse(string text, out NamedFault fault)
    {
        ArgumentNullException.ThrowIfNull(text);
        fault = default;
        var parts = text.Split(':');
        if (parts.Length != 3 || !long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var call) || call < 1)
        {
            return false;
        }

        VirtualMemoryOperation? operation = null;
        if (!Is(parts[0], "any"))
        {
            if (!parts[0].All(char.IsAsciiLetter) || !Enum.TryParse<VirtualMemoryOperation>(parts[0], ignoreCase: true, out var one))
            {
                return false;
            }

            operation = one;
        }

        DriverCode? code = null;
        if (!Is(parts[2], "hang"))
        {
            if (!Enum.TryParse<DriverCode>(parts[2], ignoreCase: true, out var one) || one <= DriverCode.Success)
            {
                return false;
            }

            code = one;
        }

        fault = new NamedFault(operation, call, code);
        return true;
    }

    /// <summary>Plans the fault for that memory, its calls counted from now on; the call that will hang, or null when none will.</summary>
    public HangingCall? Plan(FaultInjectingVirtualMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (Code is not { } code)
        {
            return memory.HangNth(Operation, Call);
        }

        memory.FailNth(Operation, Call, code);
        return null;
    }

    private static bool Is(string text, string word) => text.Equals(word, StringComparison.OrdinalIgnoreCase);
}
