namespace Kvcached.Client;

/// <summary>What a kernel meets that reads where an arena has no memory.</summary>
public enum ArenaGuard
{
    /// <summary>A fault, as with any memory that isn't there. Costs nothing.</summary>
    None = 0,

    /// <summary>
    /// Zeroes; writing faults. On a GPU it costs driver calls and one page of memory (docs/engines.md says how many), and the addresses of an extent
    /// are bare for a moment while it comes or goes.
    /// </summary>
    Zero = 1,
}
