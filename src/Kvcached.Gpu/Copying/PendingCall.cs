using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Copying;

/// <summary>The reply to a request, or why there is none.</summary>
internal readonly record struct CallOutcome(CopierProtocol.IReply? Reply, CopierFailure? Failure)
{
    public static implicit operator CallOutcome(CopierFailure failure) => new(null, failure);
}

/// <summary>One request on its way: what to send, and who waits for the reply.</summary>
internal sealed class PendingCall : IDisposable
{
    private readonly TaskCompletionSource<CallOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SafeFileHandle[] _descriptors;
    private int _heldCount;

    /// <param name="id">Its id.</param>
    /// <param name="parts">The frames that make it up; more than one only for a mapping of many descriptors.</param>
    /// <param name="descriptors">Descriptors to send, kept open until they are sent or dropped; they stay the caller's.</param>
    /// <exception cref="ObjectDisposedException">A descriptor is closed.</exception>
    public PendingCall(long id, IReadOnlyList<CopierProtocol.IRequest> parts, SafeFileHandle[] descriptors)
    {
        Id = id;
        Parts = parts;
        _descriptors = descriptors;
        try
        {
            foreach (var descriptor in descriptors)
            {
                var taken = false;
                descriptor.DangerousAddRef(ref taken);
                _heldCount++;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public long Id { get; }

    public IReadOnlyList<CopierProtocol.IRequest> Parts { get; }

    public Task<CallOutcome> Outcome => _outcome.Task;

    /// <summary>True once nobody waits any more.</summary>
    public bool IsOver => _outcome.Task.IsCompleted;

    /// <summary>The descriptors of one part.</summary>
    public ReadOnlySpan<SafeFileHandle> DescriptorsOf(CopierProtocol.IRequest part) =>
        part is CopierProtocol.Map map ? _descriptors.AsSpan(map.FirstUnit, map.DescriptorCount) : default;

    /// <summary>Answers the caller, if it still waits.</summary>
    public bool TryComplete(CallOutcome outcome) => _outcome.TrySetResult(outcome);

    /// <summary>Lets go of the descriptors.</summary>
    public void Dispose()
    {
        var held = Interlocked.Exchange(ref _heldCount, 0);
        for (var i = 0; i < held; i++)
        {
            _descriptors[i].DangerousRelease();
        }
    }
}
