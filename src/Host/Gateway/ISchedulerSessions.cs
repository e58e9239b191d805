using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Host.Gateway;

/// <summary>Where answers and events of a session go. Safe for use by several threads; no call blocks.</summary>
internal interface ISchedulerLine
{
    /// <summary>User of the process on the other side, as the kernel says.</summary>
    uint UserId { get; }

    /// <summary>Sends a message of the coordinator on, the file of tags before it where one is handed over.</summary>
    void Deliver(EngineProtocol.IMessage message);

    /// <summary>A command has been passed on, so that another may be read.</summary>
    void CommandTaken();
}

/// <summary>One session of a scheduler, between its connection and the coordinator. No call blocks.</summary>
internal interface ISchedulerSession
{
    /// <summary>Answers go over that connection from now on.</summary>
    void Attach(ISchedulerLine line);

    /// <summary>That connection is gone; its lease says how long the session waits for another. Does nothing when it has another one already.</summary>
    void Detach(ISchedulerLine line);

    /// <summary>Passes a command on. <see cref="ISchedulerLine.CommandTaken"/> follows for the line.</summary>
    void Tell(ISchedulerLine line, EngineProtocol.ICommand command);

    /// <summary>The process that had the session has ended.</summary>
    void Died();
}

/// <summary>Makes sessions.</summary>
internal interface ISchedulerSessions
{
    /// <param name="session">Its id.</param>
    /// <param name="ended">Called once, from any thread, when the session is over and nothing will be passed on any more.</param>
    ISchedulerSession Open(SessionId session, Action ended);
}
