using Kvcached.Actors.Protocols;
using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>What the coordinator's decisions do to the world; carried out by its actor, recorded by tests.</summary>
internal interface ICoordinatorPort
{
    /// <summary>Sends a command to the rank of that GPU. May be lost; the coordinator sends again what is not answered.</summary>
    void ToRank(GpuId gpu, RankProtocol.ICommand command);

    /// <summary>Sends a reply or event to the engine of that session. May be lost; the engine asks again.</summary>
    void ToEngine(SessionId session, EngineProtocol.IMessage message);

    /// <summary>Answers the operator who got that ticket. May be lost; the operator looks again.</summary>
    void ToOperator(long ticket, OperatorProtocol.IReply reply);

    /// <summary>The session has ended: nothing is sent to it any more.</summary>
    void ForgetEngine(SessionId session);

    /// <summary>A rank follows a newer epoch: this coordinator must not decide anything more.</summary>
    void StepDown(Epoch newer);

    /// <summary>Something that an operator should know of.</summary>
    void Warn(string what);
}
