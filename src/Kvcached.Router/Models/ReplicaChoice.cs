namespace Kvcached.Router.Models;

/// <summary>Which replica a request goes to: the one that works on the fewest, the next in turn where several do.</summary>
internal static class ReplicaChoice
{
    /// <param name="replicas">All replicas of the model.</param>
    /// <param name="maxInFlight">What one replica is given at most.</param>
    /// <param name="turn">A number that rises with every choice, so that equals take turns.</param>
    /// <returns>Null when none is well and has room.</returns>
    public static Replica? Choose(IReadOnlyList<Replica> replicas, int maxInFlight, uint turn)
    {
        Replica? best = null;
        for (var offset = 0; offset < replicas.Count; offset++)
        {
            var replica = replicas[(int)((turn + (uint)offset) % (uint)replicas.Count)];
            if (replica.IsHealthy && replica.Outstanding < maxInFlight && (best is null || replica.Outstanding < best.Outstanding))
            {
                best = replica;
            }
        }

        return best;
    }
}
