using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;
using Kvcached.Gpu.Sockets;

namespace Kvcached.Client.Sessions;

/// <summary>A request that is sent, under one id, until it is answered.</summary>
/// <param name="make">Makes the message from the session, the request's id and the watermark of answers seen.</param>
/// <param name="answered">Hears of the answer on the session's thread, before whoever waits.</param>
internal sealed class PendingRequest(
    Func<SessionId, RequestId, RequestId, EngineProtocol.IRequest> make, Action<EngineProtocol.IReply>? answered = null)
{
    private readonly object _gate = new();
    private bool _isDone;

    /// <summary>The pool that it is about; default for one that is to be opened.</summary>
    public PoolId Pool { get; init; }

    /// <summary>Null until it was answered.</summary>
    public EngineProtocol.IReply? Answer { get; private set; }

    public long SentAt { get; set; }

    public int TimesSent { get; set; }

    public EngineProtocol.IRequest Make(SessionId session, RequestId request, RequestId ackedThrough) => make(session, request, ackedThrough);

    public void Complete(EngineProtocol.IReply reply)
    {
        Answer = reply;
        KvProcess.Guard(() => answered?.Invoke(reply));
        lock (_gate)
        {
            _isDone = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for the answer, a little longer than the coordinator does, so that its own refusal can come. The reply, or a refusal instead of it.</summary>
    public ClientResult<EngineProtocol.IReply> Wait(TimeSpan deadline, string what)
    {
        if (!IsDoneWithin(deadline + Deadlines.Grace))
        {
            return new Refusal(
                RefusalReason.DeadlineExceeded,
                $"{what} was not answered within {deadline.TotalSeconds:0.###} s. It is still asked for; what comes of it is used. See whether the host runs.");
        }

        return Answer switch
        {
            EngineProtocol.RequestRefused refused => refused.Refusal,
            { } reply => new ClientResult<EngineProtocol.IReply>(reply, null),
            null => new Refusal(RefusalReason.InvalidMessage, $"{what} was answered with nothing."),
        };
    }

    private bool IsDoneWithin(TimeSpan time)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!Volatile.Read(ref _isDone) && BusyWait.GoesOn(started, BusyWait.Default))
        {
        }

        lock (_gate)
        {
            for (var left = time; !_isDone && left > TimeSpan.Zero; left = time - TimeProvider.System.GetElapsedTime(started))
            {
                Monitor.Wait(_gate, left);
            }

            return _isDone;
        }
    }
}
