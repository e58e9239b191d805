using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.DeviceCheck;

/// <summary>The assertions of checks, which run with no test framework at hand.</summary>
internal static class Expect
{
    internal static void That(bool isTrue, string claim)
    {
        if (!isTrue)
        {
            throw new CheckFailedException(claim);
        }
    }

    internal static void Equal<T>(T expected, T actual, string what)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            throw new CheckFailedException($"{what}: expected {expected}, found {actual}");
        }
    }

    internal static T Is<T>(object? actual, string what)
        where T : class => actual as T ?? throw new CheckFailedException($"{what}: expected {typeof(T).Name}, found {actual}");

    /// <summary>The call is refused with this code, or with any when null.</summary>
    internal static void Refused(DriverCode? code, Action call, string what)
    {
        try
        {
            call();
        }
        catch (VirtualMemoryException e)
        {
            That(code is null || e.Code == code, $"{what}: expected code {code}, found {e.Message}");
            return;
        }

        throw new CheckFailedException($"{what}: expected to be refused, and was done");
    }
}

/// <summary>A check found that something is not as it must be.</summary>
public sealed class CheckFailedException(string message) : Exception(message);
