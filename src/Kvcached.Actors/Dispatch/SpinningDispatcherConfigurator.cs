using Akka.Configuration;
using Akka.Dispatch;
using Akka.Event;

namespace Kvcached.Actors.Dispatch;

/// <summary>
/// A dispatcher type for HOCON: each actor has a thread of its own, as with Akka's pinned dispatcher, that looks for the next message for a
/// while before it sleeps. Keys beside those of a pinned one: <c>spin</c> and <c>spin-min-processors</c>.
/// </summary>
public sealed class SpinningDispatcherConfigurator : MessageDispatcherConfigurator
{
    private static readonly TimeSpan LongestSpin = TimeSpan.FromMilliseconds(100);
    private readonly TimeSpan _spin;

    /// <summary>Called by Akka.</summary>
    /// <param name="config">The dispatcher's section.</param>
    /// <param name="prerequisites">What dispatchers get.</param>
    /// <exception cref="ConfigurationException">A value is out of range.</exception>
    public SpinningDispatcherConfigurator(Config config, IDispatcherPrerequisites prerequisites)
        : base(config, prerequisites) => _spin = ReadSpin(config, Environment.ProcessorCount);

    public override MessageDispatcher Dispatcher() => new PinnedDispatcher(
        this,
        Config.GetString("id", null),
        Config.GetInt("throughput", 1),
        Config.GetTimeSpan("throughput-deadline-time", TimeSpan.Zero).Ticks,
        new ThreadFactory(_spin, Config, Prerequisites),
        Config.GetTimeSpan("shutdown-timeout", TimeSpan.FromSeconds(1)));

    /// <summary>How long a thread looks for work on a machine with so many processors; zero where it shouldn't.</summary>
    /// <exception cref="ConfigurationException">A value is out of range.</exception>
    internal static TimeSpan ReadSpin(Config config, int processorCount)
    {
        var id = config.GetString("id", "a dispatcher");
        if (!TryReadSpin(config, out var spin) || spin < TimeSpan.Zero || spin > LongestSpin)
        {
            throw new ConfigurationException($"{id}: spin is {config.GetString("spin", null)}; give 0 to {LongestSpin.TotalMilliseconds:0} ms.");
        }

        var leastProcessors = config.GetInt("spin-min-processors", 1);
        if (leastProcessors < 1)
        {
            throw new ConfigurationException($"{id}: spin-min-processors is {leastProcessors}; give 1 or more.");
        }

        return processorCount < leastProcessors ? TimeSpan.Zero : spin;
    }

    private static bool TryReadSpin(Config config, out TimeSpan spin)
    {
        try
        {
            spin = config.GetTimeSpan("spin", TimeSpan.Zero);
            return true;
        }
        catch (FormatException)
        {
            spin = default;
            return false;
        }
    }

    private sealed class ThreadFactory(TimeSpan spin, Config config, IDispatcherPrerequisites prerequisites)
        : ExecutorServiceConfigurator(config, prerequisites)
    {
        public override ExecutorService Produce(string id) => new SpinningThread(
            id, spin, exception => Prerequisites.EventStream.Publish(new Error(exception, id, typeof(SpinningThread), "What an actor's thread ran has failed")));
    }
}
