using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Pools;

/// <summary>A driver call that failed, kept as a value: here failures are part of the ordinary course.</summary>
internal sealed record DriverFailure(string Call, DriverCode Code, string Text)
{
    /// <summary>Makes the call; null when it worked.</summary>
    internal static DriverFailure? Of(Action call)
    {
        try
        {
            call();
            return null;
        }
        catch (VirtualMemoryException e)
        {
            return new DriverFailure(e.Call, e.Code, e.Message);
        }
    }

    /// <summary>Makes the call; null with its result when it worked.</summary>
    internal static DriverFailure? Of<T>(Func<T> call, out T? result)
    {
        result = default;
        try
        {
            result = call();
            return null;
        }
        catch (VirtualMemoryException e)
        {
            return new DriverFailure(e.Call, e.Code, e.Message);
        }
    }
}
