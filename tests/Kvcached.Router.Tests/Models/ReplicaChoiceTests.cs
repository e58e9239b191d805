using Kvcached.Router.Models;

namespace Kvcached.Router.Tests.Models;

public sealed class ReplicaChoiceTests
{
    private readonly Replica[] _replicas = [.. Enumerable.Range(1, 3).Select(port => new Replica(new Uri($"http://127.0.0.1:{port}")))];

    [Fact]
    public void Choose_SomeBusier_TheOneWithTheFewest()
    {
        (_replicas[0].Outstanding, _replicas[1].Outstanding, _replicas[2].Outstanding) = (2, 1, 2);
        Assert.Same(_replicas[1], ReplicaChoice.Choose(_replicas, 8, 0));
        Assert.Same(_replicas[1], ReplicaChoice.Choose(_replicas, 8, 2));
    }

    [Fact]
    public void Choose_Equals_TakeTurnsEvenPastTheEndOfTheCounter() => Assert.Equal(
        [_replicas[0], _replicas[1], _replicas[2], _replicas[0]],
        new uint[] { uint.MaxValue, 1, 2, 3 }.Select(turn => ReplicaChoice.Choose(_replicas, 8, turn)));

    [Fact]
    public void Choose_UnwellOrFull_NotTaken()
    {
        _replicas[0].IsHealthy = false;
        _replicas[1].Outstanding = 8;
        Assert.Same(_replicas[2], ReplicaChoice.Choose(_replicas, 8, 0));
        _replicas[2].IsHealthy = false;
        Assert.Null(ReplicaChoice.Choose(_replicas, 8, 0));
    }
}
