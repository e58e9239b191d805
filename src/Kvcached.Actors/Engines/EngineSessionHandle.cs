using Akka.Actor;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Engines;

/// <summary>The way from an engine's threads into its session actor.</summary>
internal sealed class EngineSessionHandle(ActorSystem system, IActorRef session)
{
    /// <summary>What the caller waits beyond its deadline for an answer, before it stops waiting.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(500);

    public delegate EngineProtocol.IRequest MakeRequest(SessionId session, RequestId request, RequestId ackedThrough);

    public ActorSystem System { get; } = system;

    /// <summary>
    /// Sends a request and waits for its answer: sent again until answered. When none comes in time, the caller gets a refusal; the answer, should
    /// it still come, is not lost: pages granted late become warm pages of their pool.
    /// </summary>
    public async Task<EngineProtocol.IReply> RequestAsync(MakeRequest make, TimeSpan deadline, CancellationToken cancellation)
    {
        var answer = new TaskCompletionSource<EngineProtocol.IReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Tell(new EngineSession.Submit(make, answer));
        try
        {
            return await answer.Task.WaitAsync(deadline + Grace, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return new EngineProtocol.RequestRefused(default, default, new Refusal(
                RefusalReason.DeadlineExceeded, $"No answer within {deadline.TotalMilliseconds:0} ms: the coordinator can't be reached, or is being replaced."));
        }
    }

    /// <summary>What the domain looks like now; null when nobody answers in time.</summary>
    public async Task<DomainProtocol.DomainDescription?> DescribeAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        try
        {
            return await session.Ask<DomainProtocol.DomainDescription>(DomainProtocol.DescribeDomain.Instance, timeout, cancellation).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            return null;
        }
    }

    public void Attach(EnginePool pool) => session.Tell(new EngineSession.AttachPool(pool));

    public Task CloseAsync(TimeSpan timeout)
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Tell(new EngineSession.Close(closed));
        return Task.WhenAny(closed.Task, Task.Delay(timeout));
    }
}
