using Kvcached.Actors.Coordination;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Benchmarks.Decisions;

/// <summary>Takes the coordinator's commands and answers, and keeps only what is needed to answer for the ranks and the engine.</summary>
internal sealed class RecordingPort : ICoordinatorPort
{
    public Decision? LastDecision { get; private set; }

    public int DecisionCount { get; private set; }

    public EngineProtocol.IMessage? LastAnswer { get; private set; }

    public void ToRank(GpuId gpu, RankProtocol.ICommand command)
    {
        if (command is RankProtocol.Decide decide)
        {
            LastDecision = decide.Decision;
            DecisionCount++;
        }
    }

    public void ToEngine(SessionId session, EngineProtocol.IMessage message) => LastAnswer = message;

    public void ToOperator(long ticket, OperatorProtocol.IReply reply)
    {
    }

    public void ForgetEngine(SessionId session)
    {
    }

    public void StepDown(Epoch newer) => throw new InvalidOperationException($"The coordinator stepped down for {newer}.");

    public void Warn(string what) => throw new InvalidOperationException($"The coordinator warned: {what}");
}
