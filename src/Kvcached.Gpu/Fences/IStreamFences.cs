namespace Kvcached.Gpu.Fences;

/// <summary>Says when work that a process has submitted to its device is complete, without making the submitter wait.</summary>
public interface IStreamFences : IDisposable
{
    /// <summary>
    /// True where nothing is ever under way: work on main memory is done when it is said to be. Then no call but <see cref="TryRecord"/> is needed.
    /// </summary>
    bool IsImmediate { get; }

    /// <summary>Marks the end of what was submitted to a stream so far. Never blocks; by any thread that uses the device.</summary>
    /// <param name="stream">The driver's handle; 0 is the default stream. It must live as long as the fences.</param>
    /// <param name="ticket">The mark, to be asked for by <see cref="IsComplete"/> until that is true.</param>
    /// <returns>False when it can't be marked now: the stream is being captured into a graph, or isn't one of this thread's context.</returns>
    bool TryRecord(nint stream, out nint ticket);

    /// <summary>True once the device has come past the mark, which is used up then. By a thread prepared with <see cref="PrepareThread"/>.</summary>
    bool IsComplete(nint ticket);

    /// <summary>Makes the calling thread one that may ask, also while others capture graphs. Once per thread.</summary>
    void PrepareThread();

    /// <summary>
    /// Waits for all work that the process has submitted to the device. False when it can't now, because a graph is being captured on a stream
    /// that <see cref="TryRecord"/> was given at some time; a capture on any other stream would be spoilt.
    /// </summary>
    bool TrySynchronize();
}

/// <summary>Main memory: whoever says that work is done has done it.</summary>
public sealed class ImmediateFences : IStreamFences
{
    public static ImmediateFences Instance { get; } = new();

    public bool IsImmediate => true;

    public bool TryRecord(nint stream, out nint ticket)
    {
        ticket = 0;
        return true;
    }

    public bool IsComplete(nint ticket) => true;

    public void PrepareThread()
    {
        // Nothing depends on the thread.
    }

    public bool TrySynchronize() => true;

    public void Dispose()
    {
        // Nothing is held.
    }
}
