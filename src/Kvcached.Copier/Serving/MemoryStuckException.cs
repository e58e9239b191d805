namespace Kvcached.Copier.Serving;

/// <summary>
/// Memory of the host can't be let go of, or the device no longer works: the process has to end, which lets go of everything.
/// </summary>
internal sealed class MemoryStuckException(string message, Exception? cause = null) : Exception(message, cause);
