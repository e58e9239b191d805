using Akka.Actor;
using Akka.Configuration;
using Akka.Dispatch;
using Akka.Dispatch.MessageQueues;

namespace Kvcached.Benchmarks.CoordinatedMaps;

/// <summary>
/// The usual unbounded mailbox, which also tells a recorder when messages come, when they are taken, and when the next one is asked for:
/// so that an actor is timed from outside, without a line in it.
/// </summary>
internal sealed class ObservedMailbox(Settings settings, Config config) : MailboxType(settings, config), IProducesMessageQueue<ObservedMailbox.Queue>
{
    /// <summary>Puts it in place of the mailboxes of coordinator and page mappers.</summary>
    public const string Hocon = """
        bench.observed-mailbox.mailbox-type = "Kvcached.Benchmarks.CoordinatedMaps.ObservedMailbox, Kvcached.Benchmarks"
        akka.actor.deployment {
          "/coordinator/*" { mailbox = bench.observed-mailbox }
          "/rank/*" { mailbox = bench.observed-mailbox }
        }
        """;

    public override IMessageQueue Create(IActorRef owner, ActorSystem system) => new Queue(StepRecorder.Of(owner?.Path.Parent.Name ?? "none"));

    internal sealed class Queue(StepRecorder recorder) : IMessageQueue, IUnboundedMessageQueueSemantics
    {
        private readonly UnboundedMessageQueue _queue = new();

        // A pinned dispatcher runs one message at a time and then looks here, on the same thread.
        public bool HasMessages
        {
            get
            {
                recorder.FinishedOnPinnedThread();
                return _queue.HasMessages;
            }
        }

        public int Count => _queue.Count;

        public void Enqueue(IActorRef receiver, Envelope envelope) => _queue.Enqueue(receiver, envelope);

        public bool TryDequeue(out Envelope envelope)
        {
            recorder.Finished();
            var found = _queue.TryDequeue(out envelope);
            if (found)
            {
                recorder.Taken(envelope.Message);
            }

            return found;
        }

        public void CleanUp(IActorRef owner, IMessageQueue deadletters) => _queue.CleanUp(owner, deadletters);
    }
}
