using Akka.Actor;
using Kvcached.Actors.Protocols;

namespace Kvcached.Actors.Ranks;

/// <content>Policies: in force on this rank at once, and on disk a moment later, written elsewhere so that no decision waits for the disk.</content>
internal sealed partial class PageMapper
{
    private (RankProtocol.KeepPolicies Command, IActorRef Sender)? _nextToKeep;
    private bool _isKeeping;

    private sealed record Kept(RankProtocol.PoliciesKept Reply, IActorRef Coordinator) : INoSerializationVerificationNeeded;

    private void Keep(RankProtocol.KeepPolicies command)
    {
        if (_work.TakePolicies(command) is { } stale)
        {
            Sender.Tell(stale, Self);
            return;
        }

        // Of those that come while one is being written, the last one says it all.
        _nextToKeep = (command, Sender);
        KeepNext();
    }

    private void HearKept(Kept kept)
    {
        _isKeeping = false;
        kept.Coordinator.Tell(kept.Reply, Self);
        KeepNext();
    }

    private void KeepNext()
    {
        if (_isKeeping || _nextToKeep is not var (command, coordinator))
        {
            return;
        }

        _isKeeping = true;
        _nextToKeep = null;
        var (gpu, incarnation, policies) = (_state.Pages.Gpu, _state.Pages.Incarnation, _state.Policies);
        Task.Run(() => policies.Save(command.Policies)).PipeTo(
            Self,
            success: problem => new Kept(new RankProtocol.PoliciesKept(gpu, incarnation, command.Epoch, command.Version, problem), coordinator),
            failure: exception => new Kept(new RankProtocol.PoliciesKept(gpu, incarnation, command.Epoch, command.Version, exception.Message), coordinator));
    }
}
