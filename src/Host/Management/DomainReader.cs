using Akka.Actor;
using Akka.Hosting;
using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Units;
using Kvcached.Host.Options;

namespace Kvcached.Host.Management;

/// <summary>Asks the domain's coordinator, wherever it runs, and gives up in time.</summary>
internal sealed class DomainReader(ActorRegistry registry, KvcachedHostOptions options)
{
    public async Task<DomainAnswer> DescribeAsync(CancellationToken cancellation)
    {
        if (!registry.TryGet<CoordinatorProxy>(out var coordinator))
        {
            return new DomainAnswer(null, "this host's actors are still starting");
        }

        try
        {
            return new DomainAnswer(
                await coordinator.Ask<DomainProtocol.DomainDescription>(
                    DomainProtocol.DescribeDomain.Instance, options.ManagementAskTimeout, cancellation),
                string.Empty);
        }
        catch (AskTimeoutException)
        {
            return new DomainAnswer(
                null,
                $"the coordinator of domain '{options.Ranks.Domain}' did not answer within {DurationText.Format(options.ManagementAskTimeout)}; "
                + "GET /cluster/members says which hosts are up");
        }
    }
}
