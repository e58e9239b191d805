using Akka.Actor;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Units;
using Kvcached.Host.Options;

namespace Kvcached.Host.Management;

/// <summary>Takes operators' commands to the domain's coordinator, wherever it runs, and gives up in time.</summary>
internal sealed class CoordinatorDesk(ActorRegistry registry, KvcachedHostOptions options)
{
    // A change is answered once hosts have it on disk, or by the deadline of a decision.
    private TimeSpan Patience => options.ManagementAskTimeout + options.Ranks.DecisionDeadline;

    /// <summary>The answer, or null with the reason.</summary>
    public async Task<(OperatorProtocol.IReply? Reply, string Problem)> AskAsync(OperatorProtocol.ICommand command, CancellationToken cancellation)
    {
        if (!registry.TryGet<CoordinatorProxy>(out var coordinator))
        {
            return (null, "this host's actors are still starting");
        }

        try
        {
            return (await coordinator.Ask<OperatorProtocol.IReply>(command, Patience, cancellation), string.Empty);
        }
        catch (AskTimeoutException)
        {
            return (null,
                $"the coordinator of domain '{options.Ranks.Domain}' did not answer within {DurationText.Format(Patience)}, and may or may not have carried it out; "
                + "GET /pools says what is in force, GET /cluster/members which hosts are up");
        }
    }
}
