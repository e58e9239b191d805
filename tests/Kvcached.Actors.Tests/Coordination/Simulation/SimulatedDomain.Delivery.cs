using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Tests.Coordination.Simulation;

/// <content>How messages and time go on.</content>
internal sealed partial class SimulatedDomain
{
    /// <summary>Delivers one message of a link.</summary>
    public void Deliver(Link link)
    {
        var message = link.Take();
        var place = Links.IndexOf(link);
        if (place < 2 * Ranks.Count && place % 2 == 0)
        {
            var (command, epoch) = (Mail)message;
            if (Ranks[place / 2].Handle((RankProtocol.ICommand)command) is { } reply)
            {
                Links[place + 1].Send(new Mail(reply, epoch));
            }
        }
        else if (place >= 2 * Ranks.Count && place % 2 == 0)
        {
            Engines[(place / 2) - Ranks.Count].Receive((EngineProtocol.IMessage)message);
        }
        else if (SteppedDownFor is null)
        {
            // Only this changes the coordinator's books.
            Handle(message);
            Check();
        }
    }

    /// <summary>Delivers all that can be delivered, and all that follows from it.</summary>
    public void Settle()
    {
        while (Links.Find(l => l.CanDeliver) is { } link)
        {
            Deliver(link);
        }
    }

    /// <summary>Lets time pass, with everything that happens by the clock.</summary>
    /// <param name="seconds">How long.</param>
    /// <param name="coarse">True to look at the clock ten times more seldom.</param>
    public void Advance(double seconds, bool coarse = false)
    {
        var tick = coarse ? 10 * TickInterval : TickInterval;
        for (var end = Now + TimeSpan.FromSeconds(seconds); Now < end;)
        {
            Now += tick;
            if (SteppedDownFor is not null)
            {
                TakeOver();
            }

            var before = _saidCount;
            Coordinator.Tick(Now);
            if (_saidCount != before)
            {
                Check();
            }

            foreach (var engine in Engines)
            {
                engine.Tick();
            }

            foreach (var rank in Ranks)
            {
                if (IsDue(RegisterInterval, tick))
                {
                    Register(rank);
                }

                if (IsDue(HousekeepingInterval, tick) && !rank.IsDown && !rank.IsRecovering)
                {
                    foreach (var news in rank.Housekeep().Concat<RankProtocol.IReply>(rank.WorkerNews()))
                    {
                        _rankLinks[rank.Gpu].Up.Send(new Mail(news, Coordinator.Epoch));
                    }
                }
            }

            Settle();
        }

        // What changed without a word being said is found at the latest here.
        Check();
    }

    void ICoordinatorPort.ToRank(GpuId gpu, RankProtocol.ICommand command)
    {
        _saidCount++;
        QuietRules.CheckCommand(this, gpu, command);
        _rankLinks[gpu].Down.Send(new Mail(command, command.Epoch));
    }

    void ICoordinatorPort.ToEngine(SessionId session, EngineProtocol.IMessage message)
    {
        if (message is EngineProtocol.PagesAllocated granted && _told.Add((session, granted.Request)))
        {
            QuietRules.CheckGrant(this, granted);
        }

        _saidCount++;
        _engineLinks[session].Down.Send(message);
    }

    void ICoordinatorPort.ToOperator(long ticket, OperatorProtocol.IReply reply) => OperatorReplies[ticket] = reply;

    void ICoordinatorPort.ForgetEngine(SessionId session)
    {
    }

    void ICoordinatorPort.StepDown(Epoch newer) => SteppedDownFor = newer;

    void ICoordinatorPort.Warn(string what) => Warnings.Add(what);

    private void Handle(object message)
    {
        switch (message)
        {
            case Mail { ForEpoch: { } epoch } when epoch != Coordinator.Epoch:
                break;
            case Mail { Message: RankProtocol.RegisterRank registration }:
                if (Coordinator.FindRegistrationProblem(registration) is null)
                {
                    Coordinator.RegisterRank(Now, registration, "here");
                }

                break;
            case Mail { Message: RankProtocol.RankReported report }:
                Coordinator.RankReported(Now, report);
                break;
            case Mail { Message: RankProtocol.RankPoolAnswer answer }:
                Coordinator.RankPoolAnswered(Now, answer);
                break;
            case Mail { Message: RankProtocol.Decided decided }:
                Coordinator.Decided(Now, decided.Answer);
                break;
            case Mail { Message: RankProtocol.WorkerChanged changed }:
                Coordinator.WorkerChanged(Now, changed);
                break;
            case Mail { Message: RankProtocol.QuarantineCleared cleared }:
                Coordinator.QuarantineCleared(Now, cleared);
                break;
            case Mail { Message: RankProtocol.PoliciesKept kept }:
                Coordinator.PoliciesKept(Now, kept);
                break;
            case Mail { Message: RankProtocol.EpochRefused refused }:
                Coordinator.EpochRefused(Now, refused);
                break;
            case EngineProtocol.IRequest request:
                Coordinator.Receive(Now, request);
                break;
            case EngineProtocol.OpenSession open:
                Coordinator.OpenSession(Now, open);
                break;
            case EngineProtocol.CloseSession close:
                Coordinator.CloseSession(Now, close.Session);
                break;
            case EngineProtocol.SessionDied died:
                Coordinator.SessionDied(Now, died.Session);
                break;
            case EngineProtocol.ReportWarmExtents warm:
                Coordinator.ReportWarm(Now, warm);
                break;
            case EngineProtocol.RevokeAnswered answered:
                Coordinator.RevokeAnswered(Now, answered);
                break;
            case EngineProtocol.ExtentsChecked held:
                Coordinator.ExtentsChecked(Now, held);
                break;
            default:
                throw new InvalidOperationException($"{message} is nothing that a coordinator hears.");
        }
    }

    private void Check()
    {
        if (SteppedDownFor is null && Coordinator.FindImbalance() is { } problem)
        {
            throw new BrokenRuleException(problem);
        }
    }

    private bool IsDue(TimeSpan interval, TimeSpan tick) => Now.Ticks / interval.Ticks != (Now - tick).Ticks / interval.Ticks;
}
