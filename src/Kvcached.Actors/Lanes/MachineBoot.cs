namespace Kvcached.Actors.Lanes;

/// <summary>Which run of which machine this is: two processes that see the same one are on the same machine, if perhaps in different containers.</summary>
internal static class MachineBoot
{
    private const string Path = "/proc/sys/kernel/random/boot_id";

    /// <summary>The kernel's id of this run; empty when it can't be read.</summary>
    public static string Id { get; } = Read();

    private static string Read()
    {
        try
        {
            return File.ReadAllText(Path).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return string.Empty;
        }
    }
}
